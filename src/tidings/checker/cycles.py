from tidings.checker.evidence import Evidence
from tidings.checker.verdict import Findings
def judge_cycles(evidence: Evidence, findings: Findings, *, ww_deps: bool) -> None:
    pass
