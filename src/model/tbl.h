/* What belongs to no single operator: settings of the machine, and what `davit deploy` runs. The
 * rows are explained in model/operators.h. */
TEXT(store, "", "URL of the store; empty: SQLite on this machine")
TEXT(node, "", "name of this machine among those of its store; empty: its host name")
NUMBER(lease, 10, 1, 3600, "seconds after which another machine leads if the leader is dead")
TEXT(user, "davit", "whom api, gateway and release run as")
NUMBER(uid_base, 1879048192, 65536, 4000000000,
       "first of the 131072 host uids of instances and builds; best no other Davit's here")
NUMBER(log_file_max, 10, 1, 10240, "MiB a log file may have before it is rotated")
NUMBER(log_files, 5, 1, 100, "log files kept of an instance")
PROGRAM(git, "git")
PROGRAM(tar, "tar")
