"""The people who are called: what each does is told by the last two digits of the number. And what SIP says they did.

`write_scenario` writes them down for SIPp, `read_calls` reads its log of the wire: that log is the judge of what
was dialed, in which nothing of ours has a hand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

ANSWER_HEADERS = "[last_Via:]\n[last_From:]\n[last_To:];tag=[pid]t[call_number]\n[last_Call-ID:]\n"
CONTACT = "Contact: <sip:[local_ip]:[local_port];transport=[transport]>\n"
SDP = (
    "Content-Type: application/sdp\nContent-Length: [len]\n\nv=0\no=callee 1 1 IN IP[local_ip_type] [local_ip]\ns=-\n"
    "c=IN IP[media_ip_type] [media_ip]\nt=0 0\nm=audio [media_port] RTP/AVP 0\na=rtpmap:0 PCMU/8000\n"
)
OVER = 99
FOREVER = 600_000


def send(status: str, *, sdp: bool = False, again: bool = True, invite: bool = False, more: str = "") -> str:
    sequence = "CSeq: [$cseq] INVITE\n" if invite else "[last_CSeq:]\n"
    body = SDP if sdp else "Content-Length: 0\n\n"
    repeat = ' retrans="500"' if again else ""
    return f"<send{repeat}><![CDATA[\nSIP/2.0 {status}\n{ANSWER_HEADERS}{sequence}{CONTACT}{more}{body}]]></send>\n"


def wait(milliseconds: int) -> str:
    return f'<pause milliseconds="{milliseconds}"/>\n'


def hear(what: str, milliseconds: int, otherwise: int = OVER) -> str:
    return f'<recv request="{what}" timeout="{milliseconds}" ontimeout="{otherwise}"/>\n'


def go(label: int) -> str:
    return f'<nop next="{label}"/>\n'


ACK = hear("ACK", 10_000)
RINGS = send("180 Ringing", again=False)
TRIES = send("100 Trying", again=False)
EARLY = send("183 Session Progress", sdp=True, again=False)
CANCELLED, HANGS_UP = 80, 90


def talks(milliseconds: int) -> str:
    """Answers; says goodbye after so long, unless the other side did before."""
    return (
        send("200 OK", sdp=True) + ACK + hear("BYE", milliseconds, HANGS_UP) + send("200 OK", again=False) + go(OVER)
    )


def declines(status: str, *, first: str = TRIES, after: int = 300, reason: str = "") -> str:
    return first + wait(after) + send(status, more=reason) + ACK + go(OVER)


def because(cause: int) -> str:
    return f'Reason: Q.850;cause={cause};text="so"\n'


PEOPLE: dict[int, str] = {
    1: RINGS + wait(300) + talks(2000),
    2: RINGS + wait(300) + talks(FOREVER),
    3: declines("486 Busy Here", first=RINGS),
    4: declines("480 Temporarily Unavailable", first=RINGS),
    5: declines("404 Not Found"),
    6: declines("603 Decline", first=RINGS),
    7: declines("503 Service Unavailable"),
    8: RINGS + go(CANCELLED),
    9: EARLY + wait(1000) + talks(3000),
    10: talks(700),
    11: RINGS + wait(1000) + talks(9000),
    12: wait(50_000) + go(OVER),
    13: EARLY + go(CANCELLED),
    14: declines("484 Address Incomplete"),
    15: declines("410 Gone"),
    16: declines("500 Server Internal Error"),
    17: declines("600 Busy Everywhere"),
    18: declines("408 Request Timeout"),
    19: declines("403 Forbidden"),
    20: declines("503 Service Unavailable", reason=because(34)),
    21: declines("480 Temporarily Unavailable", reason=because(20), first=RINGS),
    22: declines("404 Not Found", reason=because(1)),
    23: declines("487 Request Terminated", first=RINGS),
    24: declines("488 Not Acceptable Here"),
    25: declines("607 Unwanted", first=RINGS),
    26: declines("504 Server Time-out"),
    27: declines("500 Server Internal Error", reason=because(41)),
    28: declines("502 Bad Gateway", reason=because(27)),
    29: declines("401 Unauthorized", reason='WWW-Authenticate: Digest realm="trunk", nonce="abc"\n'),
    30: declines("608 Rejected", first=RINGS),
    31: declines("604 Does Not Exist Anywhere"),
    32: declines("402 Payment Required"),
    33: declines("404 Not Found", first=EARLY, after=1000),
    34: declines("501 Not Implemented"),
    35: declines("505 Version Not Supported"),
    36: RINGS + wait(300) + talks(12_000),
    37: RINGS + wait(2500) + talks(9000),
}
"""By the last two digits. What is not here is answered 404."""


def write_scenario(path: Path) -> Path:
    choose = "".join(
        f'<ereg regexp="INVITE sip:[+]?[0-9]*{number:02d}@" search_in="msg" assign_to="s{number}"/>\n'
        for number in PEOPLE
    )
    head = (
        '<?xml version="1.0" encoding="ISO-8859-1" ?>\n<scenario name="people">\n<recv request="INVITE" rrs="true">\n'
        '<action>\n<ereg regexp="CSeq: ([0-9]+)" search_in="msg" assign_to="c0,cseq"/>\n'
        '<ereg regexp="Contact: &lt;([^&gt;]+)&gt;" search_in="msg" assign_to="c1,ruri"/>\n'
        '<ereg regexp="From: ([^\\r\\n]+)" search_in="msg" assign_to="c2,from"/>\n'
        '<ereg regexp="To: (&lt;?[^;\\r\\n]+)" search_in="msg" assign_to="c3,to"/>\n'
        f"{choose}</action>\n</recv>\n"
    )
    goodbye = (
        f'<label id="{HANGS_UP}"/>\n<send retrans="500"><![CDATA[\nBYE [$ruri] SIP/2.0\n'
        "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\nFrom: [$to];tag=[pid]t[call_number]\n"
        "To: [$from]\nCall-ID: [call_id]\nCSeq: 1 BYE\nMax-Forwards: 70\nContent-Length: 0\n\n]]></send>\n"
        f'<recv response="200" timeout="8000" ontimeout="{OVER}"/>\n'
    )
    parts = [
        head,
        *(f'<nop next="{number}" test="s{number}"/>\n' for number in PEOPLE),
        declines("404 Not Found", first=""),
        *(f'<label id="{number}"/>\n{does}' for number, does in PEOPLE.items()),
        f'<label id="{CANCELLED}"/>\n{hear("CANCEL", FOREVER)}', send("200 OK", again=False),
        send("487 Request Terminated", invite=True), ACK, go(OVER),
        goodbye,
        f'<label id="{OVER}"/>\n<nop/>\n<Reference variables="c0,c1,c2,c3"/>\n</scenario>\n',
    ]
    path.write_text("".join(parts))
    return path


@dataclass
class SipCall:
    """One Call-ID as the wire had it. `branches`: one for each INVITE transaction, however often it was resent."""

    number: str
    invited_at: datetime
    branches: set[str] = field(default_factory=set)
    said: list[int] = field(default_factory=list)
    answered_at: datetime | None = None
    cancelled: bool = False
    ended_at: datetime | None = None
    ended_by: str | None = None
    """`us` or `them`, where somebody said BYE."""

    @property
    def final(self) -> int | None:
        return next((one for one in self.said if one >= 200), None)


MESSAGE = re.compile(
    r"^-+ (\d{4}-\d\d-\d\d)[T\s]+(\d\d:\d\d:\d\d\.\d+)\S*\s*\n.*?message (sent|received)[^\n]*\n\s*\n?"
    r"(.*?)(?=^-{20,} \d{4}-|\Z)",
    re.MULTILINE | re.DOTALL,
)


def read_calls(log: Path) -> dict[str, SipCall]:
    """Every call by its Call-ID, in the order of the wire."""
    calls: dict[str, SipCall] = {}
    text = log.read_text(errors="replace").replace("\r", "") if log.exists() else ""
    for day, clock, way, message in MESSAGE.findall(text):
        at = datetime.fromisoformat(f"{day} {clock[:15]}")
        first = message.lstrip().split("\n", 1)[0]
        call_id = _header(message, "Call-ID")
        method = _header(message, "CSeq").split()[-1:] or [""]
        if first.startswith("INVITE ") and way == "received":
            number = re.search(r"sip:([+0-9]+)@", first)
            call = calls.setdefault(call_id, SipCall(number[1] if number else "", at))
            branch = re.search(r"branch=([^;\s]+)", message)
            call.branches.add(branch[1] if branch else "")
        call_known = calls.get(call_id)
        if call_known is None:
            continue
        if first.startswith("SIP/2.0 ") and way == "sent" and method == ["INVITE"]:
            status = int(first.split()[1])
            call_known.said.append(status)
            if status == 200:
                call_known.answered_at = call_known.answered_at or at
        elif first.startswith("CANCEL "):
            call_known.cancelled = True
        elif first.startswith("BYE ") and call_known.ended_by is None:
            call_known.ended_by, call_known.ended_at = ("us" if way == "received" else "them"), at
    return calls


def _header(message: str, name: str) -> str:
    found = re.search(rf"^{name}:\s*(.+)$", message, re.MULTILINE | re.IGNORECASE)
    return found[1].strip() if found else ""
