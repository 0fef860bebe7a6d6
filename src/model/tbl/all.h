/* Every noun, a file each, of these rows:
 *
 *     ENUM(enum) VALUE(value, text, doc) … END_ENUM(enum)     enum, enum_names[]
 *     NOUN(noun, doc)                               struct noun, noun_schema, noun_release
 *     KEY(noun, format, (parameters), arguments)    key_noun(…); numbers have leading zeros, so that they sort.
 *                                                   A noun without a key is part of others
 *     FIELD(noun, STRING, member, doc)              or INT, BOOL, STRV, MAP, COUNTS: model/codec.h
 *     NEEDED(noun, STRING, member, doc)             a document without it is refused
 *     CHOICE(noun, enum, member, doc)               a value of the enum, its text in the document; needed
 *     LIST(noun, of, member, doc)                   structs of another noun
 *     WRITER(operator, WRITES, fields…)             who may write it; with fields, only these of what is there
 *     WRITER(operator, DELETES)                     who may delete it too. OPERATOR is the one that the key names
 *     TRANSITION(operator, from, to)                who may take `state` from one value to another; without a row
 *                                                   anybody who writes it
 *     END(noun)
 *
 * A file that includes this one defines before what it makes of the rows; the others are nothing, and all are undefined
 * behind it. */
#ifndef ENUM
#define ENUM(enum_name)
#endif
#ifndef VALUE
#define VALUE(value, text, doc)
#endif
#ifndef END_ENUM
#define END_ENUM(enum_name)
#endif
#ifndef NOUN
#define NOUN(noun, doc)
#endif
#ifndef KEY
#define KEY(noun, format, params, ...)
#endif
#ifndef FIELD
#define FIELD(noun, kind, member, doc)
#endif
#ifndef NEEDED
#define NEEDED FIELD
#endif
#ifndef CHOICE
#define CHOICE(noun, enum_name, member, doc)
#endif
#ifndef LIST
#define LIST(noun, of, member, doc)
#endif
#ifndef WRITER
#define WRITER(operator, may, ...)
#endif
#ifndef TRANSITION
#define TRANSITION(operator, from, to)
#endif
#ifndef END
#define END(noun)
#endif

#include "model/tbl/app.h"
#include "model/tbl/desired.h"
#include "model/tbl/config_vars.h"
#include "model/tbl/check.h"
#include "model/tbl/process.h"
#include "model/tbl/release.h"
#include "model/tbl/release_status.h"
#include "model/tbl/rollout.h"
#include "model/tbl/rollout_status.h"
#include "model/tbl/domain.h"
#include "model/tbl/build.h"
#include "model/tbl/build_status.h"
#include "model/tbl/leash.h"
#include "model/tbl/instance.h"
#include "model/tbl/routing.h"
#include "model/tbl/gateway_status.h"
#include "model/tbl/remains.h"
#include "model/tbl/stack.h"
#include "model/tbl/node.h"
#include "model/tbl/leader.h"
#include "model/tbl/user.h"
#include "model/tbl/token.h"
#include "model/tbl/event.h"
#include "model/tbl/audit.h"

#undef ENUM
#undef VALUE
#undef END_ENUM
#undef NOUN
#undef KEY
#undef FIELD
#undef NEEDED
#undef CHOICE
#undef LIST
#undef WRITER
#undef TRANSITION
#undef END
