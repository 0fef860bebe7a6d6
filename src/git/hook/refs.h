/* What a push may contain: the table of decisions. Pure. */
#ifndef GIT_HOOK_REFS_H
#define GIT_HOOK_REFS_H

#include "base/str.h"

enum { REFS_MAX = 10000, OID_MAX = 64 };

struct decision {
    bool accept;
    char *commit;     /* to be built; NULL: nothing is */
    char *branch;     /* its branch, without refs/heads/ */
    char *old;        /* where the pusher saw that branch; all zeros: nowhere */
    bool several;     /* there are other refs in the push */
    struct buf words; /* for the pusher */
};

void decision_release(struct decision *d);

/* `lines` is what git gives a pre-receive hook: "OLD NEW REF\n", OLD or NEW all zeros for a ref
 * that is made or deleted. `deploy_branch` is "" before the first push. ERR_INVALID for lines that
 * are not so. */
int decide(struct str lines, const char *deploy_branch, struct decision *ret, struct err *err);

#endif
