#include <yaml.h>

#include "builder/compile.h"
#include "model/names.h"

static const char *scalar(yaml_document_t *d, int index)
{
    yaml_node_t *n = yaml_document_get_node(d, index);
    return n && n->type == YAML_SCALAR_NODE ? (const char *)n->data.scalar.value : NULL;
}

typedef int (*name_check)(const char *name, struct err *err);

static int read_pairs(yaml_document_t *d, yaml_node_t *mapping, name_check check, struct map *ret,
                      struct err *err)
{
    if (mapping->type != YAML_MAPPING_NODE) /* "default_process_types:" with nothing behind */
        return 0;
    for (yaml_node_pair_t *p = mapping->data.mapping.pairs.start;
         p < mapping->data.mapping.pairs.top; p++) {
        const char *name = scalar(d, p->key), *value = scalar(d, p->value);
        if (!name || !value)
            return err_set(err, ERR_INVALID, "only texts are allowed");
        int r = check(name, err);
        if (r < 0)
            return r;
        if (*value)
            map_set(ret, name, value);
    }
    return 0;
}

static int read_document(yaml_document_t *d, struct map *processes, struct map *env,
                         struct err *err)
{
    yaml_node_t *root = yaml_document_get_root_node(d);
    if (!root || root->type != YAML_MAPPING_NODE)
        return 0;
    for (yaml_node_pair_t *p = root->data.mapping.pairs.start; p < root->data.mapping.pairs.top;
         p++) {
        const char *name = scalar(d, p->key);
        yaml_node_t *value = yaml_document_get_node(d, p->value);
        int r = 0;
        if (name && value && streq(name, "default_process_types"))
            r = read_pairs(d, value, process_type_check, processes, err);
        else if (name && value && streq(name, "config_vars"))
            r = read_pairs(d, value, config_name_check, env, err);
        if (r < 0)
            return err_wrap(err, "%s", name);
    }
    return 0;
}

int release_yaml_parse(struct str text, struct map *processes, struct map *env, struct err *err)
{
    yaml_parser_t parser;
    yaml_document_t document;
    yaml_parser_initialize(&parser);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text.ptr, text.len);
    int r = 0;
    if (!yaml_parser_load(&parser, &document)) {
        err_set(err, ERR_INVALID, "line %zu: %s", parser.problem_mark.line + 1,
                parser.problem ? parser.problem : "no YAML");
        r = -(int)ERR_INVALID;
    } else {
        r = read_document(&document, processes, env, err);
        yaml_document_delete(&document);
    }
    yaml_parser_delete(&parser);
    return r;
}
