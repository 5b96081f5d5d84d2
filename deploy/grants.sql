-- The least that Ringback's MySQL or MariaDB users need. Replace the database (ringback), the hosts ('%': narrow them)
-- and the three passwords, whose places no server takes as they stand, then run it as an administrator, before the
-- tables are made and again after that:
--
--     mysql -u root -p < deploy/grants.sql      # makes the users, and stops where the first table is missing
--     ringback db upgrade                       # as ringback_owner: database_url in a file that RINGBACK_CONFIG names
--     mysql -u root -p < deploy/grants.sql
--
-- Run it again after each upgrade: a release may bring tables of its own.
--
-- Three users, because they need different things:
--   ringback_owner   runs `ringback db upgrade` at an upgrade, and nothing else
--   ringback         the daemon, `ringback serve` and the command line. It cannot change the tables themselves, and
--                    what is history cannot be deleted by it: attempts, events, the entries of accounts
--   ringback_reader  reports and dashboards of others: it only reads, and neither hashes of passwords and keys, nor
--                    sessions, nor what vendors posted and programs were answered
--
-- `require ssl` makes the server refuse a login without TLS; leave it out where the database is on the same machine.

CREATE USER IF NOT EXISTS 'ringback_owner'@'%' IDENTIFIED BY <a password for ringback_owner>;
CREATE USER IF NOT EXISTS 'ringback'@'%' IDENTIFIED BY <a password for ringback>;
CREATE USER IF NOT EXISTS 'ringback_reader'@'%' IDENTIFIED BY <a password for ringback_reader>;
-- ALTER USER 'ringback'@'%' REQUIRE SSL;

GRANT ALL PRIVILEGES ON ringback.* TO 'ringback_owner'@'%';
GRANT SELECT ON ringback.* TO 'ringback'@'%';
-- Rules, people and plans: written, and what was imported by mistake can be taken back.
GRANT INSERT, UPDATE, DELETE ON ringback.leads TO 'ringback'@'%';
GRANT INSERT, UPDATE, DELETE ON ringback.lead_phones TO 'ringback'@'%';
GRANT INSERT, UPDATE, DELETE ON ringback.lead_terms TO 'ringback'@'%';
GRANT INSERT ON ringback.number_traits TO 'ringback'@'%';
GRANT INSERT, UPDATE, DELETE ON ringback.call_schedule TO 'ringback'@'%';
GRANT INSERT, UPDATE ON ringback.campaigns TO 'ringback'@'%';
GRANT INSERT, UPDATE ON ringback.accounts TO 'ringback'@'%';
GRANT INSERT, UPDATE, DELETE ON ringback.account_allowances TO 'ringback'@'%';
GRANT INSERT, UPDATE ON ringback.imports TO 'ringback'@'%';
GRANT INSERT, UPDATE ON ringback.scheduler_config TO 'ringback'@'%';
GRANT INSERT, UPDATE ON ringback.rule_versions TO 'ringback'@'%';
GRANT INSERT ON ringback.account_do_not_call TO 'ringback'@'%';
GRANT INSERT, UPDATE ON ringback.do_not_call TO 'ringback'@'%';
GRANT INSERT, DELETE ON ringback.do_not_call_keys TO 'ringback'@'%';
-- How processes and providers stand: forgotten when it is old.
GRANT INSERT, UPDATE, DELETE ON ringback.daemons TO 'ringback'@'%';
GRANT INSERT, UPDATE, DELETE ON ringback.provider_events TO 'ringback'@'%';
GRANT INSERT, UPDATE ON ringback.provider_pace TO 'ringback'@'%';
GRANT INSERT ON ringback.identity TO 'ringback'@'%';
GRANT INSERT, UPDATE ON ringback.recoveries TO 'ringback'@'%';
GRANT INSERT ON ringback.clock_steps TO 'ringback'@'%';
-- Who may ask, and the answers that are kept for a repeated request.
GRANT INSERT, UPDATE, DELETE ON ringback.api_keys TO 'ringback'@'%';
GRANT INSERT, UPDATE, DELETE ON ringback.users TO 'ringback'@'%';
GRANT INSERT, UPDATE, DELETE ON ringback.sessions TO 'ringback'@'%';
GRANT INSERT, UPDATE, DELETE ON ringback.login_failures TO 'ringback'@'%';
GRANT INSERT, UPDATE, DELETE ON ringback.idempotency_keys TO 'ringback'@'%';
-- History: added to. An attempt is completed by what is learnt of it; events and entries never change.
GRANT INSERT, UPDATE ON ringback.call_attempts TO 'ringback'@'%';
GRANT INSERT, UPDATE ON ringback.second_calls TO 'ringback'@'%';
GRANT INSERT ON ringback.events TO 'ringback'@'%';
GRANT INSERT ON ringback.account_entries TO 'ringback'@'%';
-- What reports need, table by table. Of those that hold secrets, the columns that hold none.
GRANT SELECT ON ringback.account_allowances TO 'ringback_reader'@'%';
GRANT SELECT ON ringback.account_do_not_call TO 'ringback_reader'@'%';
GRANT SELECT ON ringback.account_entries TO 'ringback_reader'@'%';
GRANT SELECT ON ringback.accounts TO 'ringback_reader'@'%';
GRANT SELECT ON ringback.call_attempts TO 'ringback_reader'@'%';
GRANT SELECT ON ringback.call_schedule TO 'ringback_reader'@'%';
GRANT SELECT ON ringback.campaigns TO 'ringback_reader'@'%';
GRANT SELECT ON ringback.daemons TO 'ringback_reader'@'%';
GRANT SELECT ON ringback.do_not_call TO 'ringback_reader'@'%';
GRANT SELECT ON ringback.events TO 'ringback_reader'@'%';
GRANT SELECT ON ringback.imports TO 'ringback_reader'@'%';
GRANT SELECT ON ringback.lead_phones TO 'ringback_reader'@'%';
GRANT SELECT ON ringback.leads TO 'ringback_reader'@'%';
GRANT SELECT ON ringback.number_traits TO 'ringback_reader'@'%';
GRANT SELECT ON ringback.provider_pace TO 'ringback_reader'@'%';
GRANT SELECT ON ringback.rule_versions TO 'ringback_reader'@'%';
GRANT SELECT ON ringback.scheduler_config TO 'ringback_reader'@'%';
GRANT SELECT ON ringback.alembic_version TO 'ringback_reader'@'%';
GRANT SELECT ON ringback.clock_steps TO 'ringback_reader'@'%';
GRANT SELECT ON ringback.do_not_call_keys TO 'ringback_reader'@'%';
GRANT SELECT ON ringback.identity TO 'ringback_reader'@'%';
GRANT SELECT ON ringback.lead_terms TO 'ringback_reader'@'%';
GRANT SELECT ON ringback.recoveries TO 'ringback_reader'@'%';
GRANT SELECT ON ringback.second_calls TO 'ringback_reader'@'%';
GRANT SELECT (id, name, prefix, scope, account_id, created_at, expires_at, revoked_at, last_used_at)
    ON ringback.api_keys TO 'ringback_reader'@'%';
GRANT SELECT (id, name, role, account_id, totp_since, created_at, last_login_at) ON ringback.users TO 'ringback_reader'@'%';
GRANT SELECT (id, provider, kind, attempt_ref, provider_call_id, received_at, processed_at, tries, result)
    ON ringback.provider_events TO 'ringback_reader'@'%';
