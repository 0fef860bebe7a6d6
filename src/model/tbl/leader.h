/* Vanishes with it, by its lease. Its revision is the fence that each of its transactions compares. */
NOUN(leader, "Which of the operators of that name, one on each machine, has the say for all")
KEY(leader, "/leaders/%s", (const char *operator), operator)
NEEDED(leader, STRING, node, "the machine it runs on")
NEEDED(leader, STRING, place, "boot, node and root: where only one process can be that operator")
FIELD(leader, STRING, since, "when it was elected")
WRITER(OPERATOR, WRITES)
END(leader)
