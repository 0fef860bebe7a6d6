/* RFC 4648 base64, for config values that don't fit on a command line as they are. */
#ifndef CLI_BASE64_H
#define CLI_BASE64_H

#include "base/str.h"

/* Appends what `text` encodes; blanks and line ends in it are skipped. False: it isn't base64. */
bool base64_decode(struct str text, struct buf *ret);

#endif
