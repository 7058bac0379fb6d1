"""Asks Samba about each line: our six answers, then a security descriptor. Prints every disagreement."""

import sys

from samba import NTSTATUSError
from samba.dcerpc import security
from samba.security import access_check

ACCESS_DENIED = 0xC0000022
BITS = [0x1, 0x2, 0x10000, 0x4, 0x20, 0x40000]
DOMAIN = security.dom_sid("S-1-5-21-1-2-3")


def token():
    one = security.token()
    texts = ["S-1-5-21-1-2-3-1001", "S-1-5-21-1-2-3-2001", "S-1-5-21-1-2-3-2002", "S-1-5-21-1-2-3-2003", "S-1-1-0"]
    one.sids = [security.dom_sid(text) for text in texts]
    one.num_sids = len(texts)
    return one


def allows(descriptor, who, mask):
    try:
        access_check(descriptor, who, mask)
        return True
    except NTSTATUSError as error:
        if error.args[0] != ACCESS_DENIED:
            raise
        return False


def main():
    who = token()
    chains = wrong = 0
    for number, line in enumerate(sys.stdin):
        answers, text = line.split()
        descriptor = security.descriptor.from_sddl(text, DOMAIN)
        judged = "".join("1" if allows(descriptor, who, bit) else "0" for bit in BITS)
        chains += 1
        if judged != answers:
            wrong += 1
            if wrong <= 5:
                print(f"{number} ours {answers} samba {judged} {text}")
    print(f"judged {chains} chains, {6 * chains} questions, {wrong} disagreements")


main()
