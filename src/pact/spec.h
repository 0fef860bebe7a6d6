/* What an engine tells the shim of the instance it is to supervise: the file DIR/spec, lines
 * "name value" (pact/lines.h). Both sides use this table, so that neither can mean anything else
 * than the other. A shim may be of another version than the engine: what a line means never
 * changes, and a new one has a default. */
#ifndef PACT_SPEC_H
#define PACT_SPEC_H

#include "base/str.h"

enum spec_restart { RESTART_NO, RESTART_ALWAYS };

/* TEXT(name, required), LIST(name, member), NUMBER(name, default, min, max),
 * WORD(name, type, default, words…) */
#define PACT_SPEC(TEXT, LIST, NUMBER, WORD)                                                        \
    TEXT(name, true) /* of the instance, and of the container for crun */                          \
    TEXT(app, true)                                                                                \
    TEXT(process, true) /* web.1 */                                                                \
    LIST(layer, layers) /* folders, bottom first */                                                \
    TEXT(upper, true)   /* the writable layer; emptied before a restart */                         \
    TEXT(work, true)                                                                               \
    TEXT(rootfs, true)  /* where the layers are mounted */                                         \
    TEXT(sysfs, false)  /* a folder to mount its network's /sys on; without one there is none */   \
    TEXT(userns, false) /* a file to mount a user namespace on; without one crun makes it */       \
    NUMBER(uid_base, 0, 0, UINT32_MAX)  /* what is 0 in it, */                                     \
    NUMBER(uid_owner, 0, 0, UINT32_MAX) /* and whose it is: host uids */                           \
    TEXT(bridge, false)                 /* without one the instance has no network but lo */       \
    TEXT(ip, false)                     /* with /prefix */                                         \
    TEXT(gateway, false)                                                                           \
    TEXT(hostif, false)                                                                            \
    TEXT(cgroup, true)              /* its path below the root of each hierarchy */                \
    NUMBER(memory, 0, 0, INT64_MAX) /* bytes; 0: no limit, also below */                           \
    NUMBER(pids, 0, 0, INT32_MAX)                                                                  \
    NUMBER(cpu_weight, 0, 0, 10000) /* 100 is the ordinary one */                                  \
    TEXT(log, true)                                                                                \
    NUMBER(log_max, 10 << 20, 131072, INT64_MAX) /* bytes */                                       \
    NUMBER(log_files, 5, 1, 100)                 /* kept, the current one included */              \
    NUMBER(grace, 30, 0, 86400)                  /* seconds between stop signal and SIGKILL */     \
    NUMBER(signal, 15, 1, 64)                                                                      \
    WORD(restart, enum spec_restart, RESTART_ALWAYS, "no", "always")

struct spec {
#define TEXT(name, required) char *name;
#define LIST(name, member) struct strv member;
#define NUMBER(name, standard, min, max) int64_t name;
#define WORD(name, type, ...) type name;
    PACT_SPEC(TEXT, LIST, NUMBER, WORD)
#undef TEXT
#undef LIST
#undef NUMBER
#undef WORD
};

/* The defaults; all texts are NULL. */
void pact_spec_init(struct spec *s);
void pact_spec_release(struct spec *s);
/* Fails where the shim would refuse it: ERR_INVALID. */
int pact_spec_format(const struct spec *s, struct buf *ret, struct err *err);
/* Errors name the line: "spec, line 4: …". */
int pact_spec_parse(struct str text, struct spec *ret, struct err *err);
/* What is understood of one that another version has written; nothing is an error. */
void pact_spec_recall(struct str text, struct spec *ret);

#endif
