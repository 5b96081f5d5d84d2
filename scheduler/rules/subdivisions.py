"""ISO 3166-2: the regions of countries, what each lies in, and what people call them.

Pure tables. The codes and the parents are those of ISO 3166-2 as the Debian project keeps them (iso-codes, as in
pycountry 26.2.16), with a few codes that ISO has dropped and people still write (FR-75, MX-DIF). The names are
theirs, those of the `holidays` package, and what is said every day ("Capital Federal", "CDMX").
What must stay true: a name that two regions have is no region; which was meant is asked.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache

from scheduler.errors import InvalidValue

_SAME = {"UK": "GB", "EL": "GR"}
"""Codes that people and the European Union write for a country, in the place of ISO's."""

WRITE_CODE = "write an ISO code like CL, CL-MA or ES-CT"


@lru_cache(maxsize=4096)
def normal_region(text: str, country: str | None = None) -> str:
    """The ISO 3166-2 code of what is written on a lead: `es-ct` and `Cataluña` are ES-CT.

    A name that regions of several countries have is one of `country`, if that is given. Raises InvalidValue.
    """
    code = text.strip().upper().replace("_", "-")
    if len(code) >= 2 and code[:2].isalpha() and code[:2].isascii() and (len(code) == 2 or code[2] == "-"):
        return _SAME.get(code[:2], code[:2]) + code[2:]
    found = _names().get(fold(text), ())
    own = [one for one in found if one[:2] == country]
    if len(found) == 1 or len(own) == 1:
        return (own or found)[0]
    if found:
        raise InvalidValue("region", text, f"it may be {_either(sorted(found))}; write the code")
    raise InvalidValue("region", text, WRITE_CODE)


def read_region(text: str, country: str | None = None, field: str = "region") -> str:
    """`normal_region` of a region that exists. Raises InvalidValue, naming those that do."""
    try:
        code = normal_region(text, country)
    except InvalidValue as error:
        raise InvalidValue(field, text, error.right) from None
    country, _, subdivision = code.partition("-")
    own = _regions().get(country)
    if own is None:
        raise InvalidValue(field, text, f"there is no country {country}; {WRITE_CODE}")
    if "-" in code and subdivision not in own:
        right = f"{country} has no region {subdivision}"
        raise InvalidValue(field, text, f"{right}; its codes are {' '.join(own)}" if own else right)
    return code


def is_known(code: str) -> bool:
    """Is it a country, or a region that ISO knows, or knew?"""
    country, dash, subdivision = code.partition("-")
    own = _regions().get(country)
    return own is not None and (not dash or subdivision in own)


def lineage(code: str) -> Iterator[str]:
    """A region and what it lies in, narrowest first: ES-B, ES-CT. The country itself is not named."""
    country, _, subdivision = code.partition("-")
    own: Mapping[str, str | None] = _regions().get(country, {})
    while subdivision:
        yield f"{country}-{subdivision}"
        subdivision = own.get(subdivision) or ""


def parts_of(code: str) -> list[str]:
    """The regions that lie in this one: those of ES-CT are ES-B, ES-GI, ES-L and ES-T."""
    country, _, subdivision = code.partition("-")
    return [f"{country}-{one}" for one, parent in _regions().get(country, {}).items() if parent == subdivision]


def fold(text: str) -> str:
    """A name as it is compared: small letters and digits, without accents, and without "region de"."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    plain = "".join(letter for letter in plain if letter.isalnum() or letter == " ")
    return "".join(_KIND.sub("", plain.strip()).split())


_KIND = re.compile(
    r"^(?:(?:la |el )?(?:region|provincia|comunidad|departamento|estado|state|province)(?: autonoma)? (?:del? |of )?)"
)


def _either(codes: list[str]) -> str:
    return f"{', '.join(codes[:-1])} or {codes[-1]}"


@cache
def _regions() -> Mapping[str, Mapping[str, str | None]]:
    """By country, each region with what it lies in."""
    found: dict[str, dict[str, str | None]] = {}
    own: dict[str, str | None] = {}
    above: list[str] = []
    for code, colon, opens, closes in re.findall(r"(\w+)(:?)(\(?)(\)*)", _CODES):
        if colon:
            own = found.setdefault(code, {})
            continue
        own[code] = above[-1] if above else None
        above += [code] * bool(opens)
        del above[len(above) - len(closes):]
    return found


@cache
def _names() -> Mapping[str, tuple[str, ...]]:
    """By folded name, the regions that have it."""
    found: dict[str, tuple[str, ...]] = {}
    for block in re.split(r"\n(?=\w\w: )", _NAMES.strip()):
        country, _, listed = block.partition(": ")
        for entry in " ".join(listed.split()).split("; "):
            code, _, names = entry.partition("=")
            for name in names.split("|"):
                key = fold(name)
                found[key] = tuple(dict.fromkeys((*found.get(key, ()), f"{country}-{code}")))
    return found


# By country: its regions, and in brackets behind each those that lie in it.
_CODES = """
AD: 02 03 04 05 06 07 08
AE: AJ AZ DU FU RK SH UQ
AF: BAL BAM BDG BDS BGL DAY FRA FYB GHA GHO HEL HER JOW KAB KAN KAP KDZ KHO KNR LAG LOG NAN NIM NUR PAN PAR PIA PKA
    SAM SAR TAK URU WAR ZAB
AG: 03 04 05 06 07 08 10 11
AL: 01 02 03 04 05 06 07 08 09 10 11 12
AM: AG AR AV ER GR KT LO SH SU TV VD
AO: BGO BGU BIE CAB CCU CNN CNO CUS HUA HUI LNO LSU LUA MAL MOX NAM UIG ZAI
AR: A B C D E F G H J K L M N P Q R S T U V W X Y Z
AT: 1 2 3 4 5 6 7 8 9
AU: ACT NSW NT QLD SA TAS VIC WA
AZ: ABS AGA AGC AGM AGS AGU AST BA BAL BAR BEY BIL CAB CAL DAS FUZ GA GAD GOR GOY GYG HAC IMI ISM KAL KUR LA LAC LAN
    LER MAS MI NA NEF NX(BAB CUL KAN NV ORD SAD SAH SAR) OGU QAB QAX QAZ QBA QBI QOB QUS SA SAB SAK SAL SAT SBN SIY
    SKR SM SMI SMX SR SUS TAR TOV UCA XA XAC XCI XIZ XVD YAR YE YEV ZAN ZAQ ZAR
BA: BIH BRC SRP
BB: 01 02 03 04 05 06 07 08 09 10 11
BD: A(02 06 07 25 50 51) B(01 04 08 09 10 11 16 29 31 47 56) C(13 15 17 18 26 33 35 36 40 42 53 62 63) D(05 12 22 23
    27 30 37 39 43 58) E(03 24 44 45 48 49 54 59) F(14 19 28 32 46 52 55 64) G(20 38 60 61) H(21 34 41 57)
BE: BRU VLG(VAN VBR VLI VOV VWV) WAL(WBR WHT WLG WLX WNA)
BF: 01(BAL BAN KOS MOU NAY SOR) 02(COM LER) 03(KAD) 04(BLG KOP KOT) 05(BAM NAM SMT) 06(BLK SIS SNG ZIR) 07(BAZ NAO
    ZOU) 08(GNA GOU KMD KMP TAP) 09(HOU KEN TUI) 10(LOR PAS YAT ZON) 11(GAN KOW OUB) 12(OUD SEN SOM YAG) 13(BGR IOB
    NOU PON)
BG: 01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28
BH: 13 14 15 17
BI: BB BL BM BR CA CI GI KI KR KY MA MU MW MY NG RM RT RY
BJ: AK AL AQ BO CO DO KO LI MO OU PL ZO
BN: BE BM TE TU
BO: B C H L N O P S T
BQ: BO BON SA SAB SE STA
BR: AC AL AM AP BA CE DF ES GO MA MG MS MT PA PB PE PI PR RJ RN RO RR RS SC SE SP TO
BS: AK BI BP BY CE CI CK CO CS EG EX FP GC HI HT IN LI MC MG MI NE NO NP NS RC RI SA SE SO SS SW WG
BT: 11 12 13 14 15 21 22 23 24 31 32 33 34 41 42 43 44 45 GA TY
BW: CE CH FR GA GH JW KG KL KW LO NE NW SE SO SP ST
BY: BR HM HO HR MA MI VI
BZ: BZ CY CZL OW SC TOL
CA: AB BC MB NB NL NS NT NU ON PE QC SK YT
CD: BC BU EQ HK HL HU IT KC KE KG KL KN KS LO LU MA MN MO NK NU SA SK SU TA TO TU
CF: AC BB BGF BK HK HM HS KB KG LB MB MP NM OP SE UK VK
CG: 11 12 13 14 15 16 2 5 7 8 9 BZV
CH: AG AI AR BE BL BS FR GE GL GR JU LU NE NW OW SG SH SO SZ TG TI UR VD VS ZG ZH
CI: AB BS CM DN GD LC LG MG SM SV VB WR YM ZZ
CL: AI AN AP AR AT BI CO LI LL LR MA ML NB RM TA VS
CM: AD CE EN ES LT NO NW OU SU SW
CN: AH BJ CQ FJ GD GS GX GZ HA HB HE HI HK HL HN JL JS JX LN MO NM NX QH SC SD SH SN SX TJ TW XJ XZ YN ZJ
CO: AMA ANT ARA ATL BOL BOY CAL CAQ CAS CAU CES CHO COR CUN DC GUA GUV HUI LAG MAG MET NAR NSA PUT QUI RIS SAN SAP SUC
    TOL VAC VAU VID
CR: A C G H L P SJ
CU: 01 03 04 05 06 07 08 09 10 11 12 13 14 15 16 99
CV: B(BV PA PN RB RG SL SV TS) S(BR CA CF CR MA MO PR RS SD SF SM SO SS TA)
CY: 01 02 03 04 05 06
CZ: 10 20(201 202 203 204 205 206 207 208 209 20A 20B 20C) 31(311 312 313 314 315 316 317) 32(321 322 323 324 325 326
    327) 41(411 412 413) 42(421 422 423 424 425 426 427) 51(511 512 513 514) 52(521 522 523 524 525) 53(531 532 533
    534) 63(631 632 633 634 635) 64(641 642 643 644 645 646 647) 71(711 712 713 714 715) 72(721 722 723 724) 80(801
    802 803 804 805 806)
DE: BB BE BW BY HB HE HH MV NI NW RP SH SL SN ST TH
DJ: AR AS DI DJ OB TA
DK: 81 82 83 84 85
DM: 02 03 04 05 06 07 08 09 10 11
DO: 33(06 14 19 20) 34(05 15 26 27) 35(09 18 25) 36(13 24 28) 37(07 22) 38(03 04 10 16) 39(23 29 30) 40(01 32) 41(02
    17 21 31) 42(08 11 12)
DZ: 01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38
    39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58
EC: A B C D E F G H I L M N O P R S SD SE T U W X Y Z
EE: 37(141 198 245 296 305 338 353 424 431 446 651 653 719 726 784 890) 39(205) 45(130 251 321 442 511 514 735 803)
    50(247 486 618) 52(255 567 834) 56(184 441 907) 60(191 272 661 663 792 901 903 928) 64(284 622 708) 68(214 303 430
    624 638 712 809) 71(293 317 503 668) 74(478 689 714) 79(171 283 291 432 528 586 793 796) 81(557 824 855) 84(480
    615 897 899) 87(142 698 732 917 919)
EG: ALX ASN AST BA BH BNS C DK DT FYM GH GZ IS JS KB KFS KN LX MN MNF MT PTS SHG SHR SIN SUZ WAD
ER: AN DK DU GB MA SK
ES: AN(AL CA CO GR H J MA SE) AR(HU TE Z) AS(O) CB(S) CE CL(AV BU LE P SA SG SO VA ZA) CM(AB CR CU GU TO) CN(GC TF)
    CT(B GI L T) EX(BA CC) GA(C LU OR PO) IB(PM) MC(MU) MD(M) ML NC(NA) PV(BI SS VI) RI(LO) VC(A CS V)
ET: AA AF AM BE DD GA HA OR SI SN SO SW TI
FI: 01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19
FJ: C(09 10 12 13 14) E(04 05 06) N(02 03 07) R W(01 08 11)
FM: KSA PNI TRK YAP
FR: 20 20R(2A 2B) 971 972 973 974 975 976 977 978 986 987 988 ARA(01 03 07 15 26 38 42 43 63 69 69M 73 74) BFC(21 25
    39 58 70 71 89 90) BL BRE(22 29 35 56) COR CP CVL(18 28 36 37 41 45) GES(08 10 51 52 54 55 57 6AE(67 68) 88) GF GP
    HDF(02 59 60 62 80) IDF(75 75C 77 78 91 92 93 94 95) MF MQ NAQ(16 17 19 23 24 33 40 47 64 79 86 87) NC NOR(14 27
    50 61 76) OCC(09 11 12 30 31 32 34 46 48 65 66 81 82) PAC(04 05 06 13 83 84) PDL(44 49 53 72 85) PF PM RE TF WF YT
GA: 1 2 3 4 5 6 7 8 9
GB: ENG(BAS BBD BCP BDF BDG BEN BEX BIR BKM BNE BNH BNS BOL BPL BRC BRD BRY BST BUR CAM CBF CHE CHW CLD CMA CMD CON
    COV CRY DAL DBY DER DEV DNC DOR DUD DUR EAL ENF ERY ESS ESX GAT GLS GRE HAL HAM HAV HCK HEF HIL HMF HNS HPL HRT
    HRW HRY IOS IOW ISL KEC KEN KHL KIR KTT KWL LAN LBH LCE LDS LEC LEW LIN LIV LND LUT MAN MDB MDW MIK MRT NBL NEL
    NET NFK NGM NLN NNH NSM NTT NTY NWM NYK OLD OXF PLY POR PTE RCC RCH RDB RDG RIC ROT RUT SAW SFK SFT SGC SHF SHN
    SHR SKP SLF SLG SND SOL SOM SOS SRY STE STH STN STS STT STY SWD SWK TAM TFW THR TOB TRF TWH WAR WBK WFT WGN WIL
    WKF WLL WLV WND WNH WNM WOK WOR WRL WRT WSM WSX YOR) NIR(ABC AND ANN BFS CCG DRS FMO LBC MEA MUL NMD) SCT(ABD ABE
    AGB ANS CLK DGY DND EAY EDH EDU ELN ELS ERW FAL FIF GLG HLD IVC MLN MRY NAY NLK ORK PKN RFW SAY SCB SLK STG WDU
    WLN ZET) WLS(AGY BGE BGW CAY CGN CMN CRF CWY DEN FLN GWN MON MTY NTL NWP PEM POW RCT SWA TOF VGL WRX)
GD: 01 02 03 04 05 06 10
GE: AB AJ GU IM KA KK MM RL SJ SK SZ TB
GH: AA AF AH BE BO CP EP NE NP OT SV TV UE UW WN WP
GL: AV KU QE QT SM
GM: B L M N U W
GN: B(BF BK FR GA KN) C D(CO DU FO KD TE) F(DB DI FA KS) K(KA KE KO MD SI) L(KB LA LE ML TO) M(DL MM PI) N(BE GU LO MC
    NZ YO)
GQ: C(CS DJ KN LI WN) I(AN BN BS)
GR: 69 A B C D E F G H I J K L M
GT: 01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19 20 21 22
GW: BS L(BA GA) N(BM CA OI) S(BL QU TO)
GY: BA CU DE EB ES MA PM PT UD UT
HN: AT CH CL CM CP CR EP FM GD IB IN LE LP OC OL SB VA YO
HR: 01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19 20 21
HT: AR CE GA ND NE NI NO OU SD SE
HU: BA BC BE BK BU BZ CS DE DU EG ER FE GS GY HB HE HV JN KE KM KV MI NK NO NY PE PS SD SF SH SK SN SO SS ST SZ TB TO
    VA VE VM ZA ZE
ID: JW(BT JB JI JK JT YO) KA(KB KI KS KT KU) ML(MA MU) NU(BA NB NT) PP(PA PB PD PE PS PT) SL(GO SA SG SN SR ST) SM(AC
    BB BE JA KR LA RI SB SS SU)
IE: C(G LM MO RN SO) L(CW D KE KK LD LH LS MH OY WH WW WX) M(CE CO KY LK TA WD) U(CN DL MN)
IL: D HA JM M TA Z
IN: AN AP AR AS BR CG CH DH DL GA GJ HP HR JH JK KA KL LA LD MH ML MN MP MZ NL OD PB PY RJ SK TN TR TS UK UP WB
IQ: AN BA BB BG DI DQ KA KI KR(AR DA SU) MA MU NA NI QA SD WA
IR: 00 01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30
IS: 1(GAR HAF KJO KOP MOS RKV SEL) 2(GRN RKN SDN SVG) 3(AKN BOG DAB EOM GRU HVA SKO SNF STY) 4(ARN BOL ISA KAL RHH SDV
    STR TAL VER) 5(HUG HUV SKG SKR SSS) 6(AKU DAV EYF FJL GRY HRG LAN NOR SBT THG TJO) 7(FJD FLR MUL SHF VOP) 8(ASA
    BLA FLA GOG HRU HVE MYR RGE RGY SFA SKF SOG SOL VEM)
IT: 21(AL AT BI CN NO TO VB VC) 23 25(BG BS CO CR LC LO MB MI MN PV SO VA) 32(BZ TN) 34(BL PD RO TV VE VI VR) 36(GO PN
    TS UD) 42(GE IM SP SV) 45(BO FC FE MO PC PR RA RE RN) 52(AR FI GR LI LU MS PI PO PT SI) 55(PG TR) 57(AN AP FM MC
    PU) 62(FR LT RI RM VT) 65(AQ CH PE TE) 67(CB IS) 72(AV BN CE NA SA) 75(BA BR BT FG LE TA) 77(MT PZ) 78(CS CZ KR RC
    VV) 82(AG CL CT EN ME PA RG SR TP) 88(CA NU OR SS SU) AO
JM: 01 02 03 04 05 06 07 08 09 10 11 12 13 14
JO: AJ AM AQ AT AZ BA IR JA KA MA MD MN
JP: 01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38
    39 40 41 42 43 44 45 46 47
KE: 01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38
    39 40 41 42 43 44 45 46 47
KG: B C GB GO J N O T Y
KH: 1 10 11 12 13 14 15 16 17 18 19 2 20 21 22 23 24 25 3 4 5 6 7 8 9
KI: G L P
KM: A G M
KN: K(01 02 03 06 08 09 11 13 15) N(04 05 07 10 12)
KP: 01 02 03 04 05 06 07 08 09 10 13 14 15
KR: 11 26 27 28 29 30 31 41 42 43 44 45 46 47 48 49 50
KW: AH FA HA JA KU MU
KZ: 10 11 15 19 23 27 31 33 35 39 43 47 55 59 61 62 63 71 75 79
LA: AT BK BL CH HO KH LM LP OU PH SL SV VI VT XA XE XI XS
LB: AK AS BA BH BI JA JL NA
LC: 01 02 03 05 06 07 08 10 11 12
LI: 01 02 03 04 05 06 07 08 09 10 11
LK: 1(11 12 13) 2(21 22 23) 3(31 32 33) 4(41 42 43 44 45) 5(51 52 53) 6(61 62) 7(71 72) 8(81 82) 9(91 92)
LR: BG BM CM GB GG GK GP LO MG MO MY NI RG RI SI
LS: A B C D E F G H J K
LT: AL(02 03 07 24 55) KL(20 21 22 28 31 46 48) KU(05 10 13 15 16 18 36 38) MR(14 17 25 41 56) PN(06 23 32 33 34 40)
    SA(01 11 19 30 37 43 44) TA(12 29 45 50) TE(26 35 39 51) UT(04 09 27 54 59 60) VL(08 42 47 49 52 53 57 58)
LU: CA CL DI EC ES GR LU ME RD RM VD WI
LV: 002 007 011 015 016 022 026 033 041 042 047 050 052 054 056 058 059 062 067 068 073 077 080 087 088 089 091 094
    097 099 101 102 106 111 112 113 DGV JEL JUR LPX REZ RIX VEN
LY: BA BU DR GT JA JG JI JU KF MB MI MJ MQ NL NQ SB SR TB WA WD WS ZA
MA: 01(CHE FAH HOC LAR MDF OUZ TET TNG) 02(BER DRI FIG GUF JRA NAD OUJ TAI) 03(BOM FES HAJ IFR MEK MOU SEF TAO TAZ)
    04(KEN KHE NOU RAB SAL SIK SIL SKH) 05(AZI BEM FQH KHN KHO) 06(BES BRR CAS CHT JDI MED MOH SET SIB) 07(CHI ESI HAO
    KES MAR REH SAF YUS) 08(ERR MID OUA TIN ZAG) 09(AGD INE TAR TAT TIZ) 10(ASZ GUE SIF TNT) 11(BOD ESM LAA TAF)
    12(AOU OUD)
MC: CL CO FO GA JE LA MA MC MG MO MU PH SD SO SP SR VR
MD: AN BA BD BR BS CA CL CM CR CS CT CU DO DR DU ED FA FL GA GL HI IA LE NI OC OR RE RI SD SI SN SO ST SV TA TE UN
ME: 01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25
MG: A D F M T U
MH: L(ALL EBO ENI JAB JAL KIL KWA LAE LIB NMK NMU RON UJA WTH) T(ALK ARN AUR LIK MAJ MAL MEJ MIL UTI WTJ)
MK: 101 102 103 104 105 106 107 108 109 201 202 203 204 205 206 207 208 209 210 211 301 303 304 307 308 310 311 312
    313 401 402 403 404 405 406 407 408 409 410 501 502 503 504 505 506 507 508 509 601 602 603 604 605 606 607 608
    609 701 702 703 704 705 706 801 802 803 804 805 806 807 808 809 810 811 812 813 814 815 816 817
ML: 1 10 2 3 4 5 6 7 8 9 BKO
MM: 01 02 03 04 05 06 07 11 12 13 14 15 16 17 18
MN: 035 037 039 041 043 046 047 049 051 053 055 057 059 061 063 064 065 067 069 071 073 1
MO: I M
MR: 01 02 03 04 05 06 07 08 09 10 11 12 13 14 15
MT: 01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38
    39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64 65 66 67 68
MU: AG BL CC FL GP MO PA PL PW RO RR SA
MV: 00 01 02 03 04 05 07 08 12 13 14 17 20 23 24 25 26 27 28 29 MLE
MW: C(DE DO KS LI MC NI NK NU SA) N(CT KR LK MZ NB RU) S(BA BL CK CR MG MH MU MW NE NS PH TH ZO)
MX: AGU BCN BCS CAM CHH CHP CMX COA COL DIF DUR GRO GUA HID JAL MEX MIC MOR NAY NLE OAX PUE QUE ROO SIN SLP SON TAB
    TAM TLA VER YUC ZAC
MY: 01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16
MZ: A B G I L MPM N P Q S T
NA: CA ER HA KA KE KH KU KW OD OH ON OS OT OW
NE: 1 2 3 4 5 6 7 8
NG: AB AD AK AN BA BE BO BY CR DE EB ED EK EN FC GO IM JI KD KE KN KO KT KW LA NA NI OG ON OS OY PL RI SO TA YO ZA
NI: AN AS BO CA CI CO ES GR JI LE MD MN MS MT NS RI SJ
NL: AW BQ1 BQ2 BQ3 CW DR FL FR GE GR LI NB NH OV SX UT ZE ZH
NO: 03 11 15 18 21 22 30 31 32 33 34 38 39 40 42 46 50 54 55 56
NP: P1 P2 P3 P4 P5 P6 P7
NR: 01 02 03 04 05 06 07 08 09 10 11 12 13 14
NZ: AUK BOP CAN CIT GIS HKB MBH MWT NSN NTL OTA STL TAS TKI WGN WKO WTC
OM: BJ BS BU DA MA MU SJ SS WU ZA ZU
PA: 1 10 2 3 4 5 6 7 8 9 EM KY NB NT
PE: AMA ANC APU ARE AYA CAJ CAL CUS HUC HUV ICA JUN LAL LAM LIM LMA LOR MDD MOQ PAS PIU PUN SAM TAC TUM UCA
PG: CPK CPM EBR EHG EPW ESW GPK HLA JWK MBA MPL MPM MRL NCD NIK NPP NSB SAN SHM WBK WHM WPD
PH: 00 01(ILN ILS LUN PAN) 02(BTN CAG ISA NUV QUI) 03(AUR BAN BUL NUE PAM TAR ZMB) 05(ALB CAN CAS CAT MAS SOR) 06(AKL
    ANT CAP GUI ILI NEC) 07(BOH CEB NER SIG) 08(BIL EAS LEY NSA SLE WSA) 09(BAS ZAN ZAS ZSI) 10(BUK CAM MSC MSR)
    11(COM DAO DAS DAV DVO SAR SCO) 12(LAN NCO SUK) 13(AGN AGS DIN SUN SUR) 14(LAS MGN MGS SLU TAW) 15(ABR APA BEN IFU
    KAL MOU) 40(BTG CAV LAG QUE RIZ) 41(MAD MDC MDR PLW ROM)
PK: BA GB IS JK KP PB SD
PL: 02 04 06 08 10 12 14 16 18 20 22 24 26 28 30 32
PS: BTH DEB GZA HBN JEM JEN JRH KYS NBS NGZ QQA RBH RFH SLT TBS TKM
PT: 01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 20 30
PW: 002 004 010 050 100 150 212 214 218 222 224 226 227 228 350 370
PY: 1 10 11 12 13 14 15 16 19 2 3 4 5 6 7 8 9 ASU
QA: DA KH MS RA SH US WA ZA
RO: AB AG AR B BC BH BN BR BT BV BZ CJ CL CS CT CV DB DJ GJ GL GR HD HR IF IL IS MH MM MS NT OT PH SB SJ SM SV TL TM
    TR VL VN VS
RS: 00 08 09 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 KM(25 26 27 28 29) VO(01 02 03 04 05 06 07)
RU: AD AL ALT AMU ARK AST BA BEL BRY BU CE CHE CHU CU DA IN IRK IVA KAM KB KC KDA KEM KGD KGN KHA KHM KIR KK KL KLU KO
    KOS KR KRS KYA LEN LIP MAG ME MO MOS MOW MUR NEN NGR NIZ NVS OMS ORE ORL PER PNZ PRI PSK ROS RYA SA SAK SAM SAR SE
    SMO SPE STA SVE TA TAM TOM TUL TVE TY TYU UD ULY VGG VLA VLG VOR YAN YAR YEV ZAB
RW: 01 02 03 04 05
SA: 01 02 03 04 05 06 07 08 09 10 11 12 14
SB: CE CH CT GU IS MK ML RB TE WE
SC: 01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27
SD: DC DE DN DS DW GD GK GZ KA KH KN KS NB NO NR NW RS SI
SE: AB AC BD C D E F G H I K M N O S T U W X Y Z
SG: 01 02 03 04 05
SH: AC HL TA
SI: 001 002 003 004 005 006 007 008 009 010 011 012 013 014 015 016 017 018 019 020 021 022 023 024 025 026 027 028
    029 030 031 032 033 034 035 036 037 038 039 040 041 042 043 044 045 046 047 048 049 050 051 052 053 054 055 056
    057 058 059 060 061 062 063 064 065 066 067 068 069 070 071 072 073 074 075 076 077 078 079 080 081 082 083 084
    085 086 087 088 089 090 091 092 093 094 095 096 097 098 099 100 101 102 103 104 105 106 107 108 109 110 111 112
    113 114 115 116 117 118 119 120 121 122 123 124 125 126 127 128 129 130 131 132 133 134 135 136 137 138 139 140
    141 142 143 144 146 147 148 149 150 151 152 153 154 155 156 157 158 159 160 161 162 163 164 165 166 167 168 169
    170 171 172 173 174 175 176 177 178 179 180 181 182 183 184 185 186 187 188 189 190 191 192 193 194 195 196 197
    198 199 200 201 202 203 204 205 206 207 208 209 210 211 212 213
SK: BC BL KI NI PV TA TC ZI
SL: E N NW S W
SM: 01 02 03 04 05 06 07 08 09
SN: DB DK FK KA KD KE KL LG MT SE SL TC TH ZG
SO: AW BK BN BR BY GA GE HI JD JH MU NU SA SD SH SO TO WO
SR: BR CM CR MA NI PM PR SA SI WA
SS: BN BW EC EE EW JG LK NU UY WR
ST: 01 02 03 04 05 06 P
SV: AH CA CH CU LI MO PA SA SM SO SS SV UN US
SY: DI DR DY HA HI HL HM ID LA QU RA RD SU TA
SZ: HH LU MA SH
TD: BA BG BO CB EE EO GR HL KA LC LO LR MA MC ME MO ND OD SA SI TA TI WF
TG: C K M P S
TH: 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49
    50 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 67 70 71 72 73 74 75 76 77 80 81 82 83 84 85 86 90 91 92 93 94 95
    96 S
TJ: DU GB KT RA SU
TL: AL AN BA BO CO DI ER LA LI MF MT OE VI
TM: A B D L M S
TN: 11 12 13 14 21 22 23 31 32 33 34 41 42 43 51 52 53 61 71 72 73 81 82 83
TO: 01 02 03 04 05
TR: 01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38
    39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64 65 66 67 68 69 70 71 72 73 74 75 76
    77 78 79 80 81
TT: ARI CHA CTT DMN MRC PED POS PRT PTF SFO SGE SIP SJL TOB TUP
TV: FUN NIT NKF NKL NMA NMG NUI VAI
TW: CHA CYI CYQ HSQ HSZ HUA ILA KEE KHH KIN LIE MIA NAN NWT PEN PIF TAO TNN TPE TTT TXG YUN
TZ: 01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
UA: 05 07 09 12 14 18 21 23 26 30 32 35 40 43 46 48 51 53 56 59 61 63 65 68 71 74 77
UG: C(101 102 103 104 105 106 107 108 109 110 111 112 113 114 115 116 117 118 119 120 121 122 123 124 125 126) E(201
    202 203 204 205 206 207 208 209 210 211 212 213 214 215 216 217 218 219 220 221 222 223 224 225 226 227 228 229
    230 231 232 233 234 235 236 237) N(301 302 303 304 305 306 307 308 309 310 311 312 313 314 315 316 317 318 319 320
    321 322 323 324 325 326 327 328 329 330 331 332 333 334 335 336 337) W(401 402 403 404 405 406 407 408 409 410 411
    412 413 414 415 416 417 418 419 420 421 422 423 424 425 426 427 428 429 430 431 432 433 434 435)
UM: 67 71 76 79 81 84 86 89 95
US: AK AL AR AS AZ CA CO CT DC DE FL GA GU HI IA ID IL IN KS KY LA MA MD ME MI MN MO MP MS MT NC ND NE NH NJ NM NV NY
    OH OK OR PA PR RI SC SD TN TX UM UT VA VI VT WA WI WV WY
UY: AR CA CL CO DU FD FS LA MA MO PA RN RO RV SA SJ SO TA TT
UZ: AN BU FA JI NG NW QA QR SA SI SU TK TO XO
VC: 01 02 03 04 05 06
VE: A B C D E F G H I J K L M N O P R S T U V W X Y Z
VN: 01 02 03 04 05 06 07 09 13 14 18 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 39 40 41 43 44 45 46 47 49
    50 51 52 53 54 55 56 57 58 59 61 63 66 67 68 69 70 71 72 73 CT DN HN HP SG
VU: MAP PAM SAM SEE TAE TOB
WF: AL SG UV
WS: AA AL AT FA GE GI PA SA TU VF VS
YE: AB AD AM BA DA DH HD HJ HU IB JA LA MA MR MW RA SA SD SH SN SU TA
ZA: EC FS GP KZN LP MP NC NW WC
ZM: 01 02 03 04 05 06 07 08 09 10
ZW: BU HA MA MC ME MI MN MS MV MW
AC: AI: AQ: AS: AW: AX: BL: BM: CC: CK: CW: CX: EH: FK: FO: GF: GG: GI: GP: GS: GU: HK: IM: IO: JE: KY: MF: MP: MQ:
MS: NC: NF: NU: PF: PM: PN: PR: RE: SJ: SX: TA: TC: TF: TK: VA: VG: VI: XK: YT:
"""

# Of the countries that are called most.
_NAMES = """
AR: A=Salta; B=Buenos Aires; C=Ciudad Autónoma de Buenos Aires|Capital Federal|CABA|Ciudad de Buenos Aires; D=San
    Luis; E=Entre Ríos; F=La Rioja; G=Santiago del Estero; H=Chaco; J=San Juan; K=Catamarca; L=La Pampa; M=Mendoza;
    N=Misiones; P=Formosa; Q=Neuquén; R=Río Negro; S=Santa Fe; T=Tucumán; U=Chubut; V=Tierra del Fuego; W=Corrientes;
    X=Córdoba; Y=Jujuy; Z=Santa Cruz
AU: ACT=Australian Capital Territory; NSW=New South Wales; NT=Northern Territory; QLD=Queensland; SA=South Australia;
    TAS=Tasmania; VIC=Victoria; WA=Western Australia
BO: B=El Beni; C=Cochabamba; H=Chuquisaca; L=La Paz; N=Pando; O=Oruro; P=Potosí; S=Santa Cruz; T=Tarija
BR: AC=Acre; AL=Alagoas; AM=Amazonas; AP=Amapá; BA=Bahia; CE=Ceará; DF=Distrito Federal; ES=Espírito Santo; GO=Goiás;
    MA=Maranhão; MG=Minas Gerais; MS=Mato Grosso do Sul; MT=Mato Grosso; PA=Pará; PB=Paraíba; PE=Pernambuco; PI=Piauí;
    PR=Paraná; RJ=Rio de Janeiro; RN=Rio Grande do Norte; RO=Rondônia; RR=Roraima; RS=Rio Grande do Sul; SC=Santa
    Catarina; SE=Sergipe; SP=São Paulo; TO=Tocantins
CA: AB=Alberta; BC=British Columbia|Colombie-Britannique; MB=Manitoba; NB=New Brunswick|Nouveau-Brunswick;
    NL=Newfoundland and Labrador|Terre-Neuve-et-Labrador; NS=Nova Scotia|Nouvelle-Écosse; NT=Northwest
    Territories|Territoires du Nord-Ouest; NU=Nunavut; ON=Ontario; PE=Prince Edward Island|Île-du-Prince-Édouard;
    QC=Quebec; SK=Saskatchewan; YT=Yukon
CL: AI=Aisén del General Carlos Ibañez del Campo|Aysén|Aisén; AN=Antofagasta; AP=Arica y Parinacota; AR=La
    Araucanía|Araucanía; AT=Atacama; BI=Biobío; CO=Coquimbo; LI=Libertador General Bernardo O'Higgins|O'Higgins;
    LL=Los Lagos; LR=Los Ríos; MA=Magallanes|Magallanes y la Antártica Chilena; ML=Maule; NB=Ñuble; RM=Región
    Metropolitana de Santiago|Metropolitana|Región Metropolitana|Metropolitana de Santiago|Santiago; TA=Tarapacá;
    VS=Valparaíso
CO: AMA=Amazonas; ANT=Antioquia; ARA=Arauca; ATL=Atlántico; BOL=Bolívar; BOY=Boyacá; CAL=Caldas; CAQ=Caquetá;
    CAS=Casanare; CAU=Cauca; CES=Cesar; CHO=Chocó; COR=Córdoba; CUN=Cundinamarca; DC=Distrito Capital de
    Bogotá|Bogotá|Bogotá D.C.; GUA=Guainía; GUV=Guaviare; HUI=Huila; LAG=La Guajira; MAG=Magdalena; MET=Meta;
    NAR=Nariño; NSA=Norte de Santander; PUT=Putumayo; QUI=Quindío; RIS=Risaralda; SAN=Santander; SAP=San
    Andrés|Providencia y Santa Catalina San Andrés|San Andrés y Providencia; SUC=Sucre; TOL=Tolima; VAC=Valle del
    Cauca|Valle; VAU=Vaupés; VID=Vichada
CR: A=Alajuela; C=Cartago; G=Guanacaste; H=Heredia; L=Limón; P=Puntarenas; SJ=San José
DE: BB=Brandenburg; BE=Berlin; BW=Baden-Württemberg; BY=Bayern; HB=Bremen; HE=Hessen; HH=Hamburg;
    MV=Mecklenburg-Vorpommern; NI=Niedersachsen; NW=Nordrhein-Westfalen; RP=Rheinland-Pfalz; SH=Schleswig-Holstein;
    SL=Saarland; SN=Sachsen; ST=Sachsen-Anhalt; TH=Thüringen
DO: 01=Distrito Nacional; 02=Azua; 03=Baoruco; 04=Barahona; 05=Dajabón; 06=Duarte; 07=Elías Piña; 08=El Seibo;
    09=Espaillat; 10=Independencia; 11=La Altagracia; 12=La Romana; 13=La Vega; 14=María Trinidad Sánchez; 15=Monte
    Cristi; 16=Pedernales; 17=Peravia; 18=Puerto Plata; 19=Hermanas Mirabal; 20=Samaná; 21=San Cristóbal; 22=San Juan;
    23=San Pedro de Macorís; 24=Sánchez Ramírez; 25=Santiago; 26=Santiago Rodríguez; 27=Valverde; 28=Monseñor Nouel;
    29=Monte Plata; 30=Hato Mayor; 31=San José de Ocoa; 32=Santo Domingo; 33=Cibao Nordeste; 34=Cibao Noroeste;
    35=Cibao Norte; 36=Cibao Sur; 37=El Valle; 38=Enriquillo; 39=Higuamo; 40=Ozama; 41=Valdesia; 42=Yuma
EC: A=Azuay; B=Bolívar; C=Carchi; D=Orellana; E=Esmeraldas; F=Cañar; G=Guayas; H=Chimborazo; I=Imbabura; L=Loja;
    M=Manabí; N=Napo; O=El Oro; P=Pichincha; R=Los Ríos; S=Morona Santiago; SD=Santo Domingo de los Tsáchilas;
    SE=Santa Elena; T=Tungurahua; U=Sucumbíos; W=Galápagos|Islas Galápagos; X=Cotopaxi; Y=Pastaza; Z=Zamora Chinchipe
ES: A=Alicante; AB=Albacete; AL=Almería; AN=Andalucía; AR=Aragón; AS=Asturias|Principado de Asturias; AV=Ávila;
    B=Barcelona; BA=Badajoz; BI=Bizkaia|Vizcaya; BU=Burgos; C=A Coruña|La Coruña; CA=Cádiz; CB=Cantabria; CC=Cáceres;
    CE=Ceuta; CL=Castilla y León|Castilla León; CM=Castilla-La Mancha; CN=Canarias|Islas Canarias; CO=Córdoba;
    CR=Ciudad Real; CS=Castellón; CT=Catalunya|Cataluña; CU=Cuenca; EX=Extremadura; GA=Galicia; GC=Las Palmas;
    GI=Girona|Gerona; GR=Granada; GU=Guadalajara; H=Huelva; HU=Huesca; IB=Illes Balears|Islas Baleares|Baleares;
    J=Jaén; L=Lleida|Lérida; LE=León; LU=Lugo; MA=Málaga; MC=Murcia|Región de Murcia; MD=Madrid|Comunidad de Madrid;
    ML=Melilla; NC=Navarra|Comunidad Foral de Navarra; OR=Ourense|Orense; P=Palencia; PO=Pontevedra; PV=País
    Vasco|Euskadi; RI=La Rioja; SA=Salamanca; SE=Sevilla; SG=Segovia; SO=Soria; SS=Gipuzkoa|Guipúzcoa; T=Tarragona;
    TE=Teruel; TF=Santa Cruz de Tenerife; TO=Toledo; V=Valencia; VA=Valladolid; VC=Valenciana|Comunidad
    Valenciana|Comunitat Valenciana; VI=Álava|Araba; Z=Zaragoza; ZA=Zamora
FR: 01=Ain; 02=Aisne; 03=Allier; 04=Alpes-de-Haute-Provence; 05=Hautes-Alpes; 06=Alpes-Maritimes; 07=Ardèche;
    08=Ardennes; 09=Ariège; 10=Aube; 11=Aude; 12=Aveyron; 13=Bouches-du-Rhône; 14=Calvados; 15=Cantal; 16=Charente;
    17=Charente-Maritime; 18=Cher; 19=Corrèze; 20R=Corse; 21=Côte-d'Or; 22=Côtes-d'Armor; 23=Creuse; 24=Dordogne;
    25=Doubs; 26=Drôme; 27=Eure; 28=Eure-et-Loir; 29=Finistère; 2A=Corse-du-Sud; 2B=Haute-Corse; 30=Gard;
    31=Haute-Garonne; 32=Gers; 33=Gironde; 34=Hérault; 35=Ille-et-Vilaine; 36=Indre; 37=Indre-et-Loire; 38=Isère;
    39=Jura; 40=Landes; 41=Loir-et-Cher; 42=Loire; 43=Haute-Loire; 44=Loire-Atlantique; 45=Loiret; 46=Lot;
    47=Lot-et-Garonne; 48=Lozère; 49=Maine-et-Loire; 50=Manche; 51=Marne; 52=Haute-Marne; 53=Mayenne;
    54=Meurthe-et-Moselle; 55=Meuse; 56=Morbihan; 57=Moselle; 58=Nièvre; 59=Nord; 60=Oise; 61=Orne; 62=Pas-de-Calais;
    63=Puy-de-Dôme; 64=Pyrénées-Atlantiques; 65=Hautes-Pyrénées; 66=Pyrénées-Orientales; 67=Bas-Rhin; 68=Haut-Rhin;
    69=Rhône; 69M=Métropole de Lyon; 6AE=Alsace; 70=Haute-Saône; 71=Saône-et-Loire; 72=Sarthe; 73=Savoie;
    74=Haute-Savoie; 75C=Paris; 76=Seine-Maritime; 77=Seine-et-Marne; 78=Yvelines; 79=Deux-Sèvres; 80=Somme; 81=Tarn;
    82=Tarn-et-Garonne; 83=Var; 84=Vaucluse; 85=Vendée; 86=Vienne; 87=Haute-Vienne; 88=Vosges; 89=Yonne; 90=Territoire
    de Belfort; 91=Essonne; 92=Hauts-de-Seine; 93=Seine-Saint-Denis; 94=Val-de-Marne; 95=Val-d'Oise; 971=Guadeloupe;
    972=Martinique; 973=Guyane; 974=La Réunion|Réunion; 976=Mayotte; ARA=Auvergne-Rhône-Alpes;
    BFC=Bourgogne-Franche-Comté; BL=Saint-Barthélemy; BRE=Bretagne; CP=Clipperton; CVL=Centre-Val de Loire;
    GES=Grand-Est; HDF=Hauts-de-France; IDF=Île-de-France; MF=Saint-Martin; NAQ=Nouvelle-Aquitaine;
    NC=Nouvelle-Calédonie; NOR=Normandie; OCC=Occitanie; PAC=Provence-Alpes-Côte-d'Azur; PDL=Pays-de-la-Loire;
    PF=Polynésie française; PM=Saint-Pierre-et-Miquelon; TF=Terres australes françaises; WF=Wallis-et-Futuna
GB: ENG=England; NIR=Northern Ireland; SCT=Scotland; WLS=Wales|Cymru GB-CYM
GT: 01=Guatemala; 02=El Progreso; 03=Sacatepéquez; 04=Chimaltenango; 05=Escuintla; 06=Santa Rosa; 07=Sololá;
    08=Totonicapán; 09=Quetzaltenango; 10=Suchitepéquez; 11=Retalhuleu; 12=San Marcos; 13=Huehuetenango; 14=Quiché;
    15=Baja Verapaz; 16=Alta Verapaz; 17=Petén; 18=Izabal; 19=Zacapa; 20=Chiquimula; 21=Jalapa; 22=Jutiapa
HN: AT=Atlántida; CH=Choluteca; CL=Colón; CM=Comayagua; CP=Copán; CR=Cortés; EP=El Paraíso; FM=Francisco Morazán;
    GD=Gracias a Dios; IB=Islas de la Bahía; IN=Intibucá; LE=Lempira; LP=La Paz; OC=Ocotepeque; OL=Olancho; SB=Santa
    Bárbara; VA=Valle; YO=Yoro
IT: 21=Piemonte; 23=Valle d'Aosta; 25=Lombardia; 32=Trentino-Alto Adige; 34=Veneto; 36=Friuli Venezia Giulia;
    42=Liguria; 45=Emilia-Romagna; 52=Toscana; 55=Umbria; 57=Marche; 62=Lazio; 65=Abruzzo; 67=Molise; 72=Campania;
    75=Puglia; 77=Basilicata; 78=Calabria; 82=Sicilia; 88=Sardegna; AG=Agrigento; AL=Alessandria; AN=Ancona; AP=Ascoli
    Piceno; AQ=L'Aquila; AR=Arezzo; AT=Asti; AV=Avellino; BA=Bari; BG=Bergamo; BI=Biella; BL=Belluno; BN=Benevento;
    BO=Bologna; BR=Brindisi; BS=Brescia; BT=Barletta-Andria-Trani; BZ=Bolzano; CA=Cagliari; CB=Campobasso; CE=Caserta;
    CH=Chieti; CL=Caltanissetta; CN=Cuneo; CO=Como; CR=Cremona; CS=Cosenza; CT=Catania; CZ=Catanzaro; EN=Enna;
    FC=Forlì-Cesena; FE=Ferrara; FG=Foggia; FI=Firenze; FM=Fermo; FR=Frosinone; GE=Genova; GO=Gorizia; GR=Grosseto;
    IM=Imperia; IS=Isernia; KR=Crotone; LC=Lecco; LE=Lecce; LI=Livorno; LO=Lodi; LT=Latina; LU=Lucca; MB=Monza e
    Brianza; MC=Macerata; ME=Messina; MI=Milano; MN=Mantova; MO=Modena; MS=Massa-Carrara; MT=Matera; NA=Napoli;
    NO=Novara; NU=Nuoro; OR=Oristano; PA=Palermo; PC=Piacenza; PD=Padova; PE=Pescara; PG=Perugia; PI=Pisa;
    PN=Pordenone; PO=Prato; PR=Parma; PT=Pistoia; PU=Pesaro e Urbino; PV=Pavia; PZ=Potenza; RA=Ravenna; RC=Reggio
    Calabria; RE=Reggio Emilia; RG=Ragusa; RI=Rieti; RM=Roma; RN=Rimini; RO=Rovigo; SA=Salerno; SI=Siena; SO=Sondrio;
    SP=La Spezia; SR=Siracusa; SS=Sassari; SU=Sud Sardegna; SV=Savona; TA=Taranto; TE=Teramo; TN=Trento; TO=Torino;
    TP=Trapani; TR=Terni; TS=Trieste; TV=Treviso; UD=Udine; VA=Varese; VB=Verbano-Cusio-Ossola; VC=Vercelli;
    VE=Venezia; VI=Vicenza; VR=Verona; VT=Viterbo; VV=Vibo Valentia
MX: AGU=Aguascalientes; BCN=Baja California; BCS=Baja California Sur; CAM=Campeche; CHH=Chihuahua; CHP=Chiapas;
    CMX=Ciudad de México|CDMX|Distrito Federal; COA=Coahuila de Zaragoza|Coahuila; COL=Colima; DUR=Durango;
    GRO=Guerrero; GUA=Guanajuato; HID=Hidalgo; JAL=Jalisco; MEX=México|Estado de México|Edomex; MIC=Michoacán de
    Ocampo|Michoacán; MOR=Morelos; NAY=Nayarit; NLE=Nuevo León; OAX=Oaxaca; PUE=Puebla; QUE=Querétaro; ROO=Quintana
    Roo; SIN=Sinaloa; SLP=San Luis Potosí; SON=Sonora; TAB=Tabasco; TAM=Tamaulipas; TLA=Tlaxcala; VER=Veracruz de
    Ignacio de la Llave|Veracruz; YUC=Yucatán; ZAC=Zacatecas
NI: AN=Costa Caribe Norte; AS=Costa Caribe Sur; BO=Boaco; CA=Carazo; CI=Chinandega; CO=Chontales; ES=Estelí;
    GR=Granada; JI=Jinotega; LE=León; MD=Madriz; MN=Managua; MS=Masaya; MT=Matagalpa; NS=Nueva Segovia; RI=Rivas;
    SJ=Río San Juan
PA: 1=Bocas del Toro; 10=Panamá Oeste; 2=Coclé; 3=Colón; 4=Chiriquí; 5=Darién; 6=Herrera; 7=Los Santos; 8=Panamá;
    9=Veraguas; EM=Emberá; KY=Guna Yala; NB=Ngäbe-Buglé; NT=Naso Tjër Di
PE: AMA=Amazonas; ANC=Ancash; APU=Apurímac; ARE=Arequipa; AYA=Ayacucho; CAJ=Cajamarca; CAL=El Callao; CUS=Cusco;
    HUC=Huánuco; HUV=Huancavelica; ICA=Ica; JUN=Junín; LAL=La Libertad; LAM=Lambayeque; LIM=Lima; LMA=Municipalidad
    Metropolitana de Lima; LOR=Loreto; MDD=Madre de Dios; MOQ=Moquegua; PAS=Pasco; PIU=Piura; PUN=Puno; SAM=San
    Martín; TAC=Tacna; TUM=Tumbes; UCA=Ucayali
PT: 01=Aveiro; 02=Beja; 03=Braga; 04=Bragança; 05=Castelo Branco; 06=Coimbra; 07=Évora; 08=Faro; 09=Guarda; 10=Leiria;
    11=Lisboa; 12=Portalegre; 13=Porto; 14=Santarém; 15=Setúbal; 16=Viana do Castelo; 17=Vila Real; 18=Viseu;
    20=Região Autónoma dos Açores|Açores|Azores; 30=Região Autónoma da Madeira|Madeira
PY: 1=Concepción; 10=Alto Paraná; 11=Central; 12=Ñeembucú; 13=Amambay; 14=Canindeyú; 15=Presidente Hayes; 16=Alto
    Paraguay; 19=Boquerón; 2=San Pedro; 3=Cordillera; 4=Guairá; 5=Caaguazú; 6=Caazapá; 7=Itapúa; 8=Misiones;
    9=Paraguarí; ASU=Asunción
SV: AH=Ahuachapán; CA=Cabañas; CH=Chalatenango; CU=Cuscatlán; LI=La Libertad; MO=Morazán; PA=La Paz; SA=Santa Ana;
    SM=San Miguel; SO=Sonsonate; SS=San Salvador; SV=San Vicente; UN=La Unión; US=Usulután
US: AK=Alaska; AL=Alabama; AR=Arkansas; AS=American Samoa; AZ=Arizona; CA=California; CO=Colorado; CT=Connecticut;
    DC=District of Columbia|Washington D.C.; DE=Delaware; FL=Florida; GA=Georgia; GU=Guam; HI=Hawaii; IA=Iowa;
    ID=Idaho; IL=Illinois; IN=Indiana; KS=Kansas; KY=Kentucky; LA=Louisiana; MA=Massachusetts; MD=Maryland; ME=Maine;
    MI=Michigan; MN=Minnesota; MO=Missouri; MP=Northern Mariana Islands; MS=Mississippi; MT=Montana; NC=North
    Carolina; ND=North Dakota; NE=Nebraska; NH=New Hampshire; NJ=New Jersey; NM=New Mexico; NV=Nevada; NY=New York;
    OH=Ohio; OK=Oklahoma; OR=Oregon; PA=Pennsylvania; PR=Puerto Rico; RI=Rhode Island; SC=South Carolina; SD=South
    Dakota; TN=Tennessee; TX=Texas; UM=United States Minor Outlying Islands; UT=Utah; VA=Virginia; VI=Virgin
    Islands|U.S. Virgin Islands|Virgin Islands, U.S.; VT=Vermont; WA=Washington; WI=Wisconsin; WV=West Virginia;
    WY=Wyoming
UY: AR=Artigas; CA=Canelones; CL=Cerro Largo; CO=Colonia; DU=Durazno; FD=Florida; FS=Flores; LA=Lavalleja;
    MA=Maldonado; MO=Montevideo; PA=Paysandú; RN=Río Negro; RO=Rocha; RV=Rivera; SA=Salto; SJ=San José; SO=Soriano;
    TA=Tacuarembó; TT=Treinta y Tres
VE: A=Distrito Capital; B=Anzoátegui; C=Apure; D=Aragua; E=Barinas; F=Bolívar; G=Carabobo; H=Cojedes; I=Falcón;
    J=Guárico; K=Lara; L=Mérida; M=Miranda; N=Monagas; O=Nueva Esparta; P=Portuguesa; R=Sucre; S=Táchira; T=Trujillo;
    U=Yaracuy; V=Zulia; W=Dependencias Federales; X=La Guaira; Y=Delta Amacuro; Z=Amazonas
"""
