"""What a failure is called, what it means, and why it weighs what it weighs: constants of every alarm.

One line a kind of failure, by the name of whoever finds it. A signal carries the three last fields, so it
explains itself years later, whatever this page says then; `docs/failures.md` is made from all of them.

OWASP ids are those of the Top 10 for Agentic Applications 2026 (OWASP Gen AI Security Project, December
2025); ATLAS ids are techniques of MITRE ATLAS (release of August 2026). Most failures here have no
adversary: an id says which risk they belong to, and which technique would leave the same trace.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Failure:
    """One kind of failure."""

    title: str
    definition: str
    measures: str
    """What its number is, or what is looked at."""
    normal: str
    """What is expected while nothing is wrong; stands in the evidence where no range was learned."""
    why: str
    """Why its severity is what it is."""
    owasp: tuple[str, ...]
    atlas: tuple[str, ...]


FAILURES: dict[str, Failure] = {
    "error_rate": Failure(
        "Error spike", "At least 20 calls in 60 s and half of them failed, or 5 of one tool in a row.",
        "share of failed calls in the last minute", "fewer than half of at least 20 calls fail",
        "Work fails now, but a failed call changes little and the breaker tries again by itself.",
        ("ASI08",), ("AML.T0029",),
    ),
    "error_baseline": Failure(
        "Rise of a tool's failures", "A tool fails more often than it used to, still below the limit.",
        "failures among the last 40 calls", "as many failures as the last 400 calls let expect",
        "A share that only rose stops nobody; people should look before it becomes a spike.",
        ("ASI08",), ("AML.T0029",),
    ),
    "malformed_result": Failure(
        "Malformed tool data", "More results of a tool lack the form that is declared for them than usual.",
        "misfits among the last 40 results", "as many misfits as the last 400 results let expect",
        "The agent goes on with what is not there or means something else, and nobody has seen an error.",
        ("ASI08", "ASI04"), ("AML.T0031",),
    ),
    "new_template": Failure(
        "New kind of answer", "A tool answers, three times in 40, in a way in which it never answered.",
        "probability that a kind comes that was never met", "answers of the kinds that are known",
        "Tools change every week, and most changes harm nobody: it is noted, to stand beside others.",
        ("ASI04",), ("AML.T0031",),
    ),
    "call_rate": Failure(
        "Too many calls", "More calls of an access class in a minute or a day than the file allows.",
        "calls in the last minute, as a share of the cap", "at most as many calls as the file allows",
        "The owner set this cap, and each further write may have to be undone.",
        ("ASI02", "ASI08"), ("AML.T0034.002", "AML.T0053"),
    ),
    "first_time": Failure(
        "First time", "A tool, a form of arguments or a place that is new where hardly anything is.",
        "the rarest of tool, form and place", "what the agent has done before",
        "New is not wrong, and each novelty is told once; a write that is new waits for a person.",
        ("ASI01", "ASI02"), ("AML.T0053",),
    ),
    "latency": Failure(
        "Slow tool", "The 95th percentile of the last 20 calls is above 3 times the declared latency.",
        "seconds at the 95th percentile", "at most 3 times the declared latency",
        "Slow is not wrong; spacing the calls gives the tool room.",
        ("ASI08",), ("AML.T0029",),
    ),
    "latency_baseline": Failure(
        "Unusual latency", "3 of the last 10 calls of a tool were slower than 1 in 10,000 should be.",
        "seconds of the newest call", "the quantiles of the tool's own last 200 calls",
        "Nobody declared a limit, so it is odd and no more.",
        ("ASI08",), ("AML.T0029",),
    ),
    "cost_cap": Failure(
        "Overspent", "A run or a day has cost what it may cost; at 80 % its owner is warned.",
        "USD spent", "less than the cap",
        "Money is gone and the owner said how much may be; at 80 % there is time to act.",
        ("ASI02", "ASI08"), ("AML.T0034.002",),
    ),
    "silence": Failure(
        "Silence", "Three heartbeats of a run are missing.",
        "seconds since the last sign of life", "a heartbeat in every interval",
        "Nothing is known of the run, so nothing of it may be called healthy.",
        ("ASI08", "ASI10"), ("AML.T0029",),
    ),
    "unsupported_claim": Failure(
        "Unsupported answer", "An answer names ids, addresses or numbers that its run has met nowhere.",
        "values of the answer that stand in no order, result or call; an id counts twice",
        "as few as in 99 of 100 answers of the task",
        "It may be made up, and it may be computed: somebody should ask for the evidence.",
        ("ASI09",), ("AML.T0031",),
    ),
    "divergence": Failure(
        "Claim and record differ", "A run says that it did what was not done, or hides a write that was.",
        "the gravest difference between what is claimed and what was done",
        "each claim of a call has its call, and each write of an agent that claims its writes its claim",
        "Whoever reads the report believes it; a write that it hides nobody will look for.",
        ("ASI09", "ASI10"), ("AML.T0053",),
    ),
    "exact_loop": Failure(
        "Loop", "The same call with the same result 4 times, or a cycle of up to 4 calls 4 times.",
        "rounds of the same", "fewer than 3 rounds",
        "The run gets nowhere and pays for it; a third round is only a warning.",
        ("ASI02", "ASI08"), ("AML.T0034.002",),
    ),
    "ping_pong": Failure(
        "Ping-pong", "Agents hand the same work to and fro 4 times, or more than 32 share one trace.",
        "rounds of the same handoffs", "fewer than 3 rounds, and at most 32 agents",
        "Each agent looks busy and none gets on; stopping one tool would only move it to another.",
        ("ASI07", "ASI08"), ("AML.T0034.002",),
    ),
    "no_progress": Failure(
        "No progress", "More calls in a row bring nothing new than in 99 % of the task's ended runs.",
        "calls in a row without news", "the rows of the agent's ended runs of the same task",
        "It costs money and time and may still end; where it was about to write, a person looks.",
        ("ASI08",), ("AML.T0034.002",),
    ),
    "unplanned_step": Failure(
        "Unplanned write", "A write that the plan of its run leaves out, of an agent that plans its writes.",
        "-log10 of the share of writes that the agent's plans leave out", "the plan names what writes",
        "It was decided after the plan, by whatever was read meanwhile; plans also just change.",
        ("ASI01", "ASI10"), ("AML.T0053",),
    ),
    "low_confidence": Failure(
        "Unsure call", "An agent is less sure of a call than in 49 of 50 of its runs that ended well.",
        "how sure the agent says it is of the call, from 0 to 1",
        "as sure as in 49 of 50 runs that ended well",
        "Its doubts have gone before bad ends, and most doubts end well: a person looks before it writes.",
        ("ASI09",), ("AML.T0031",),
    ),
    "contention": Failure(
        "Contention", "Agents fail four times in 60 s by locks and conflicts at one thing of one tool.",
        "failures at one thing in the last minute, of each agent at most two",
        "now and then one collision, after which somebody gets through",
        "They undo each other's work and pay for it; nothing is broken, and each owner sees only its part.",
        ("ASI07", "ASI08"), ("AML.T0029",),
    ),
    "step_vector": Failure(
        "Unusual step", "Tokens, cost, time and outcome of a step together are rarer than 1 in 1,000.",
        "distance from the agent's own steps", "the quantiles of the agent's last 1,000 steps",
        "One odd step is weak evidence: it is marked, and weighs together with others.",
        ("ASI01", "ASI10"), ("AML.T0053",),
    ),
    "canary_rate": Failure(
        "Bad canary", "The canary has more of the runs that go wrong than its share of runs explains.",
        "share of the bad runs that are the canary's", "the canary's share of all runs",
        "A new version harms users, and the old one stands ready.",
        ("ASI04", "ASI08"), ("AML.T0018",),
    ),
    "canary_mix": Failure(
        "Canary with other tools", "Its runs call tools in other parts than the stable bundle's beside it.",
        "part of the canary's calls that the most telling tool has", "its part in the stable bundle's runs",
        "It may be meant so and nothing has failed; before more runs get it, a person should know.",
        ("ASI04", "ASI10"), ("AML.T0018",),
    ),
    "shadow_pair": Failure(
        "Bad shadow", "Beside the same input the shadow does worse in more pairs than a coin explains.",
        "share of the unequal pairs in which the shadow did worse", "half of the unequal pairs",
        "It must not be released; as a shadow it has harmed nobody.",
        ("ASI04",), ("AML.T0018",),
    ),
    "tainted_argument": Failure(
        "Injected order", "A call acts on a value that a result demanded and nobody in charge has named.",
        "where the value was met", "the user or the system names the value",
        "Whoever wrote that text steers the agent; what is merely listed is common and weighs little.",
        ("ASI01", "ASI02"), ("AML.T0051.001", "AML.T0086"),
    ),
    "slow_drift": Failure(
        "Slow drift", "The agent fails more often than at the time its reference was frozen.",
        "share of failures since it was last in order", "the share of the frozen reference",
        "It creeps: nothing breaks today, and whoever waits gets used to it.",
        ("ASI06", "ASI10"), ("AML.T0031",),
    ),
    "task_drift": Failure(
        "Drift of a task", "A task's runs take other tools, orders, steps or money than once, or fail more.",
        "evidence of what has moved most", "the task's first 200 runs, frozen",
        "No run is wrong by itself; where it began with a version, that version can be taken back.",
        ("ASI06", "ASI10"), ("AML.T0031",),
    ),
    "run_cost": Failure(
        "Dear run", "A run costs more by now than 99 of 100 finished runs of its task had by then.",
        "USD spent by the run", "what 99 of 100 finished runs had cost at the same step",
        "One run in a hundred is that dear in good health; near the cap the next write may be the last.",
        ("ASI02", "ASI08"), ("AML.T0034.002",),
    ),
    "context_growth": Failure(
        "Swelling context", "Three turns running use over 3 times the tokens of all turns before.",
        "tokens of the newest turn", "the mean of all earlier turns of the run",
        "It costs money and clouds the model, and nothing has gone wrong yet.",
        ("ASI06", "ASI08"), ("AML.T0034.002",),
    ),
    "memory_influence": Failure(
        "Poisoned memory", "A call acts on what another run put into memory, and foreign text had told it.",
        "where the value was met when it was written", "the user or the system names the value",
        "What an order planted acts in every later run; agents note down what is merely listed every day.",
        ("ASI06", "ASI01"), ("AML.T0080.000", "AML.T0086"),
    ),
    "probe_drift": Failure(
        "Wrong probes", "Probes of a set go otherwise than written down, more often than chance lets them.",
        "share of the probes that went wrong since it was last said", "the 5 % that chance is given",
        "Tasks with one right way are done another way: users' tasks are, too, and none of them says so.",
        ("ASI06", "ASI10"), ("AML.T0031",),
    ),
    "tool_changed": Failure(
        "Changed tool", "A tool describes itself otherwise than before, in the same version.",
        "hash of the description", "the description that was approved, or first seen in this version",
        "The model reads a description as instructions, so whoever changed it may steer the agent.",
        ("ASI04", "ASI01"), ("AML.T0081", "AML.T0053"),
    ),
    "skipped_step": Failure(
        "Skipped step", "A call without what its owner has declared to go before it in every run.",
        "declared steps that have not gone well in the run", "each step that the file requires went well",
        "The owner said that nothing may happen without it; a call that waits does not run.",
        ("ASI01", "ASI02"), ("AML.T0053",),
    ),
    "skipped_habit": Failure(
        "Skipped habit", "A call without a step that 99.5 % of at least 200 runs have done well before it.",
        "the most usual step that is missing", "what nearly every run of the task has done by then",
        "Nobody declared it, so it is odd and no more; where it writes, a person looks first.",
        ("ASI01", "ASI02"), ("AML.T0053",),
    ),
    "price_mismatch": Failure(
        "Changed price", "A model's tokens cost more or less, call after call, than in its first calls.",
        "cost of the newest call, as a share of what its tokens cost at first", "what they cost at first",
        "Money leaks or another model answers under the name; no run is wrong for that alone.",
        ("ASI04",), ("AML.T0018",),
    ),
    "leakage": Failure(
        "Leaked data", "A call carries an undeclared secret, confidential values or a honeytoken.",
        "classes of data in the arguments, and whence they are", "only what the agent's file lets it carry",
        "What has left can't be called back; where nobody declared anything it may be how the tool works.",
        ("ASI02", "ASI03"), ("AML.T0086",),
    ),
    "trigger_pair": Failure(
        "Trigger", "Runs whose order holds one certain thing do what other runs hardly ever do.",
        "evidence that the two go together, beyond 10,000 such pairs", "rare actions come with any order",
        "Who planted the trigger decides when it is done; an honest rule looks alike, so a person looks.",
        ("ASI01", "ASI10"), ("AML.T0018",),
    ),
    "sensitive_rate": Failure(
        "More sensitive data", "A tool that writes is given secrets or personal data more often than it was.",
        "calls that carry any, among the last 40", "as many as the last 400 calls let expect",
        "Each call may be in order and all of them a habit that nobody wanted; nothing need wait for it.",
        ("ASI02", "ASI03"), ("AML.T0086",),
    ),
    "volume": Failure(
        "Unusual volume", "More calls in a minute, or five, than 1 in 300,000 of its buckets would show.",
        "calls in the open minute, or in five", "the quantiles of the agent's own buckets, by hour",
        "Each write may have to be undone, so a person looks before the next; reads cost only money.",
        ("ASI02", "ASI10"), ("AML.T0034.002", "AML.T0053"),
    ),
    "sequence_surprise": Failure(
        "Unusual order of calls", "A call, or a run, that 1 in 100 of the agent's finished runs would show.",
        "bits of the two most surprising calls of the run", "the quantiles of the last 256 runs",
        "What was never done there may be somebody else's order; a read is only marked.",
        ("ASI01", "ASI02"), ("AML.T0053",),
    ),
}  # fmt: skip

WATCHED: dict[str, Failure] = {
    "policy": Failure(
        "Refused call", "A held call does not pass a gate of the policy, or a person must agree to it.",
        "the first gate that does not let it pass", "every gate lets the call pass",
        "The call did not run; where a person must agree, one has to look.",
        ("ASI02", "ASI03"), ("AML.T0053",),
    ),
    "detector_health": Failure(
        "Ill detector", "A detector says far more than its budget, its p-values pile up or its input lags.",
        "episodes a day of the last days; shares of p below 0.1, 0.01 and 0.001; lag of the input",
        "no more than its part of the agent's alarm budget; less than 3, 5 and 30 times those shares; 5 s",
        "What it finds there can't be told from noise; pipeline operators look, the agent goes on.",
        ("ASI08",), ("AML.T0031",),
    ),
    "unacknowledged": Failure(
        "Disobedience", "An agent that lives has not confirmed a stop after 4 s.",
        "seconds since the command", "an acknowledgement within 4 s",
        "An agent that should stand still may still act; its credential must be withdrawn.",
        ("ASI10",), ("AML.T0081",),
    ),
    "registry": Failure(
        "Unowned or forged file", "An agent works without a file, or a version of its file does not count.",
        "the agent's file", "a file that is signed by a known key, newer than the one in force",
        "Without a file nobody answers for the agent and no caps are set.",
        ("ASI03", "ASI10"), ("AML.T0081",),
    ),
    "approval": Failure(
        "Void or missing approval", "An answer to a waiting call does not count, or nobody answers in time.",
        "the answer", "a signed answer of an approver, to this call, in time",
        "Somebody waits; an answer that does not count may be forged.",
        ("ASI03", "ASI09"), ("AML.T0012",),
    ),
    "brake": Failure(
        "Many stops at once", "Soft rules want to stop more than a tenth of a tenant's agents.",
        "agents stopped in 5 minutes", "at most a tenth of the agents at work",
        "One cause may stand behind them all, and no rule may stop a whole fleet by itself.",
        ("ASI08",), ("AML.T0029",),
    ),
    "shared_cause": Failure(
        "Shared cause", "Several agents alarm on one tool, model, bundle or rule at the same time.",
        "agents in 5 minutes", "as many as chance brings",
        "One thing that many agents use may be broken, and each owner sees only a part of it.",
        ("ASI08",), ("AML.T0029",),
    ),
    "review": Failure(
        "Void label", "A person's word on an allowed call does not count.",
        "the label", "a signed label of a known person on a call put aside",
        "It changes nothing by itself, but labels teach, so a forged one is a poisoned lesson.",
        ("ASI06", "ASI09"), ("AML.T0059",),
    ),
    "judgement": Failure(
        "Void word on an incident", "A person's word on an incident does not count.",
        "the word", "a signed word of a known person on an alarm of this agent",
        "It changes nothing by itself, but words weigh alarms, so forged ones could silence a detector.",
        ("ASI06", "ASI09"), ("AML.T0059",),
    ),
}  # fmt: skip
"""What no detector finds but the owner of the agent itself: refusals, and words that do not count."""

ASI = {
    "ASI01": "Agent Goal Hijack",
    "ASI02": "Tool Misuse and Exploitation",
    "ASI03": "Identity and Privilege Abuse",
    "ASI04": "Agentic Supply Chain Vulnerabilities",
    "ASI05": "Unexpected Code Execution",
    "ASI06": "Memory and Context Poisoning",
    "ASI07": "Insecure Inter-Agent Communication",
    "ASI08": "Cascading Failures",
    "ASI09": "Human-Agent Trust Exploitation",
    "ASI10": "Rogue Agents",
}
"""https://genai.owasp.org/resource/owasp-top-10-for-agentic-applications-for-2026/"""

ATLAS = {
    "AML.T0012": "Valid Accounts",
    "AML.T0018": "Manipulate AI Model",
    "AML.T0029": "Denial of AI Service",
    "AML.T0031": "Erode AI Model Integrity",
    "AML.T0034.002": "Cost Harvesting: Agentic Resource Consumption",
    "AML.T0051.001": "LLM Prompt Injection: Indirect",
    "AML.T0053": "AI Agent Tool Invocation",
    "AML.T0059": "Erode Dataset Integrity",
    "AML.T0080.000": "AI Agent Context Poisoning: Memory",
    "AML.T0081": "Modify AI Agent Configuration",
    "AML.T0086": "Exfiltration via AI Agent Tool Invocation",
    "AML.T0118.001": "Autonomous AI Agent Communication: Direct Agent Communication",
}
"""https://atlas.mitre.org/techniques"""
