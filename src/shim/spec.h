/* What `run` tells the shim: the file DIR/spec, lines "name value". Values reach to the end of the
 * line and may hold blanks. */
#ifndef SHIM_SPEC_H
#define SHIM_SPEC_H

#include "base/str.h"

/* SPEC_TEXT(name, required), SPEC_NUMBER(name, default, min, max) */
#define SPEC_FIELDS(TEXT, NUMBER)                                                                  \
    TEXT(name, true) /* of the instance, and of the container for crun */                          \
    TEXT(app, true)                                                                                \
    TEXT(process, true) /* web.1 */                                                                \
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
    NUMBER(signal, 15, 1, 64)

struct spec {
#define TEXT(name, required) char *name;
#define NUMBER(name, standard, min, max) uint64_t name;
    SPEC_FIELDS(TEXT, NUMBER)
#undef TEXT
#undef NUMBER
    struct strv layers; /* bottom first, at least one */
    bool restart;       /* `restart always`, the default; false: `restart no` */
};

void spec_release(struct spec *s);
/* Errors name the line: "spec, line 4: …". */
int spec_parse(struct str text, struct spec *ret, struct err *err);

#endif
