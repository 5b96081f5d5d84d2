-- The tables of Asterisk's call records, with what Ringback reads and a little more, and their two users.
-- mysql < records.sql, once, on the server that odbc.ini names.
CREATE DATABASE IF NOT EXISTS asterisk CHARACTER SET utf8mb4;

CREATE TABLE IF NOT EXISTS asterisk.cel (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, eventtype VARCHAR(30) NOT NULL, eventtime DATETIME(6) NOT NULL,
  channame VARCHAR(80) NOT NULL, uniqueid VARCHAR(150) NOT NULL, linkedid VARCHAR(150) NOT NULL,
  accountcode VARCHAR(80) NOT NULL, extra VARCHAR(512) NOT NULL, KEY (uniqueid));

CREATE TABLE IF NOT EXISTS asterisk.cdr (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, accountcode VARCHAR(80), src VARCHAR(80), dst VARCHAR(80),
  dcontext VARCHAR(80), channel VARCHAR(80), dstchannel VARCHAR(80), lastapp VARCHAR(80), `start` DATETIME,
  `answer` DATETIME, `end` DATETIME, duration INTEGER, billsec INTEGER, disposition VARCHAR(45), uniqueid VARCHAR(150),
  linkedid VARCHAR(150), sequence INTEGER, KEY (uniqueid));

CREATE USER IF NOT EXISTS 'asterisk'@'localhost' IDENTIFIED BY 'change-me';
GRANT SELECT, INSERT ON asterisk.* TO 'asterisk'@'localhost';
CREATE USER IF NOT EXISTS 'reader'@'%' IDENTIFIED BY 'change-me-too';
GRANT SELECT ON asterisk.cel TO 'reader'@'%';
GRANT SELECT ON asterisk.cdr TO 'reader'@'%';
