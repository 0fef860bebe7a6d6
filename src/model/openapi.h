/* The nouns as OpenAPI 3.1 describes data (JSON Schema). */
#ifndef MODEL_OPENAPI_H
#define MODEL_OPENAPI_H

#include "model/codec.h"

/* Appends the schema of a noun as one JSON object, which is YAML too. Lists of another noun refer
 * to
 * #/components/schemas/NOUN. */
void model_openapi(const struct schema *s, struct buf *ret);

#endif
