#include "lib/article.h"

#include "lib/ascii.h"
#include "lib/message_id.h"

/* The message-ID that is all of the value behind its first octets. */
static bool
take_id(const struct field_value *value, size_t from, struct field_value *id_r)
{
    while (from < value->length && ascii_is_space(value->octets[from]))
        from++;
    *id_r = (struct field_value){.octets = value->octets + from,
                                 .length = value->length - from};
    return message_id_is_valid(id_r->octets, id_r->length);
}

static bool
removes(const struct field_value *control,
        const struct field_value *supersedes, struct field_value *target_r)
{
    static const char verb[] = "cancel";
    const size_t octets = sizeof(verb) - 1;

    if (control->octets == NULL)
        return supersedes->octets != NULL && take_id(supersedes, 0, target_r);
    return control->length > octets
           && ascii_same(control->octets, verb, octets)
           && ascii_is_space(control->octets[octets])
           && take_id(control, octets, target_r);
}

bool
article_removes(const struct article *article, struct field_value *target_r)
{
    return removes(&article->fields[FIELD_CONTROL],
                   &article->fields[FIELD_SUPERSEDES], target_r);
}

bool
head_removes(const char *head, size_t head_octets,
             struct field_value *target_r)
{
    struct field_value control = {0};
    struct field_value supersedes = {0};

    (void)head_find(head, head_octets, field_name(FIELD_CONTROL), &control);
    (void)head_find(head, head_octets, field_name(FIELD_SUPERSEDES),
                    &supersedes);
    return removes(&control, &supersedes, target_r);
}
