#include "test_plan_fixture.h"

struct str next_word(struct str *rest, char sep)
{
    struct str w = {"", 0};
    while (rest->ptr && !w.len)
        w = str_trim(str_cut(rest, sep));
    return w;
}

int64_t word_number(struct str s)
{
    bool negative = s.len && s.ptr[0] == '-';
    uint64_t n = 0;
    if (negative)
        s.ptr++, s.len--;
    assert_int_equal(str_to_u64(s, 0, INT64_MAX, &n, NULL), 0);
    return negative ? -(int64_t)n : (int64_t)n;
}

char *word_text(struct str s) { return xstrndup(s.ptr, s.len); }

bool word_is(struct str s, const char *word) { return str_eq(s, str_of(word)); }

/* "v12" → 12 */
static int64_t after_letter(struct str w)
{
    return word_number((struct str){w.ptr + 1, w.len - 1});
}

int state_named(struct str name, const char *const *names)
{
    for (int i = 0; names[i]; i++)
        if (word_is(name, names[i]))
            return i;
    fail_msg("no state '%.*s'", (int)name.len, name.ptr);
    return 0;
}

static void parse_desired(const char *words, struct desired *d)
{
    struct str rest = str_of(words), w;
    while ((w = next_word(&rest, ' ')).len) {
        struct str value = w, name = str_cut(&value, '=');
        _cleanup_free_ char *n = word_text(name);
        if (value.ptr)
            counts_set(&d->formation, n, word_number(value));
        else if (w.ptr[0] == 'v')
            d->release = after_letter(w);
        else
            d->generation = after_letter(w);
    }
}

void parse_processes(const char *words, struct release *r)
{
    struct str rest = str_of(words ? words : "web=1"), w;
    while ((w = next_word(&rest, ' ')).len) {
        struct str value = w, name = str_cut(&value, '=');
        struct process *p = list_add(&r->processes, sizeof(*p));
        p->type = word_text(name);
        p->quantity = value.ptr ? word_number(value) : 0;
    }
}

static void add_release(struct scene_models *s, int64_t number, const char *processes, int state)
{
    struct release *r = &s->releases[s->n_releases];
    r->number = number;
    parse_processes(processes, r);
    s->seen[s->n_releases++] = (struct release_seen){r, state};
}

static void parse_releases(struct scene_models *s, const char *words, const char *processes)
{
    struct str rest = str_of(words), one;
    while ((one = next_word(&rest, ',')).len) {
        int64_t number = after_letter(next_word(&one, ' '));
        add_release(s, number, processes, state_named(next_word(&one, ' '), release_state_names));
    }
}

static void set_ready(struct rollout_status *s, const char *type, int64_t n)
{
    while (n-- > 0)
        rollout_status_ready(s, type);
}

static bool split(struct str w, char sep, struct str *ret_name, struct str *ret_value)
{
    *ret_value = w;
    *ret_name = str_cut(ret_value, sep);
    return ret_value->ptr;
}

static void rollout_words(struct scene_models *s, struct str words)
{
    struct rollout *r = &s->rollouts[s->n_rollouts];
    struct rollout_status *status = &s->statuses[s->n_rollouts];
    struct rollout_seen *seen = &s->rolled[s->n_rollouts];
    struct str all = words, w, name, value;
    while ((w = next_word(&words, ' ')).len) {
        if (split(w, '=', &name, &value)) {
            _cleanup_free_ char *n = word_text(name);
            counts_set(&r->processes, n, word_number(value));
        } else if (w.ptr[0] == 'g' && w.len > 1 && w.ptr[1] >= '0' && w.ptr[1] <= '9') {
            r->generation = after_letter(w);
        }
    }
    rollout_status_begin(seen, status);
    while ((w = next_word(&all, ' ')).len) {
        bool ready = split(w, ':', &name, &value);
        if (!ready && !split(w, '/', &name, &value)) {
            if (word_is(w, "failed"))
                rollout_status_fail(status, "web.1 exited at boot with status 1");
            else if (word_is(w, "stale"))
                status->generation--;
            else if (word_is(w, "unknown"))
                seen->release = NULL;
            else
                continue;
        } else {
            _cleanup_free_ char *n = word_text(name);
            if (ready)
                set_ready(status, n, word_number(value));
            else
                counts_set(&status->exits, n, word_number(value));
        }
        seen->status = status;
    }
}

static void parse_rollouts(struct scene_models *s, const char *words, const char *processes)
{
    struct str rest = str_of(words), one;
    while ((one = next_word(&rest, ',')).len) {
        struct rollout *r = &s->rollouts[s->n_rollouts];
        struct rollout_seen *seen = &s->rolled[s->n_rollouts];
        r->release = after_letter(next_word(&one, ' '));
        r->phase = state_named(next_word(&one, ' '), rollout_phase_names);
        seen->rollout = r;
        for (size_t i = 0; i < s->n_releases; i++)
            if (s->releases[i].number == r->release)
                seen->release = &s->releases[i];
        if (!seen->release) {
            add_release(s, r->release, processes, RELEASE_PENDING);
            seen->release = &s->releases[s->n_releases - 1];
        }
        rollout_words(s, one);
        s->n_rollouts++;
    }
}

void scene_parse(const char *desired, const char *processes, const char *releases,
                 const char *rollouts, struct scene_models *ret)
{
    *ret = (struct scene_models){0};
    if (desired)
        parse_desired(desired, &ret->desired);
    if (releases)
        parse_releases(ret, releases, processes);
    if (rollouts)
        parse_rollouts(ret, rollouts, processes);
}

void scene_release(struct scene_models *s)
{
    desired_release(&s->desired);
    for (size_t i = 0; i < s->n_releases; i++)
        release_release(&s->releases[i]);
    for (size_t i = 0; i < s->n_rollouts; i++) {
        rollout_release(&s->rollouts[i]);
        rollout_status_release(&s->statuses[i]);
    }
}

void say_rollout(const struct rollout *r, struct buf *b)
{
    buf_addf(b, "%sv%ld %s g%ld", b->len ? ", " : "", r->release, rollout_phase_names[r->phase],
             r->generation);
    for (size_t i = 0; i < r->processes.n; i++)
        buf_addf(b, " %s=%ld", r->processes.items[i].name, r->processes.items[i].n);
}
