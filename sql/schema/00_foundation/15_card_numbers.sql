-- The shop never handles card numbers: gateways' hosted pages do. A number that somebody writes or
-- sends where it does not belong is refused by a CHECK on every text that comes from outside.

create or replace function private.passes_luhn(digits text)
returns boolean
language plpgsql
immutable
set search_path = ''
as $$
declare
    v_digit integer;
    v_sum integer := 0;
begin
    for v_place in 1 .. char_length(passes_luhn.digits) loop
        v_digit := substr(
            passes_luhn.digits, char_length(passes_luhn.digits) - v_place + 1, 1
        )::integer;
        if v_place % 2 = 0 then
            v_digit := v_digit * 2;
            if v_digit > 9 then
                v_digit := v_digit - 9;
            end if;
        end if;
        v_sum := v_sum + v_digit;
    end loop;
    return v_sum % 10 = 0;
end
$$;

create or replace function private.holds_card_number(value text)
returns boolean
language plpgsql
immutable
set search_path = ''
as $$
declare
    -- spaces and hyphens of all widths between the groups of a number
    v_gap text := E'[ \u00a0\u2010-\u2015\u202f-]';
    v_run text [];
    v_groups text [];
    v_digits text;
begin
    -- Nearly every text ends here: thirteen digits in a row are rare.
    if holds_card_number.value is null
        or holds_card_number.value !~ ('[2-6](' || v_gap || '{0,3}[0-9]){12}') then
        return false;
    end if;
    -- Runs of digit groups that are no part of a word, a decimal or a phone number. UUIDs are ids.
    for v_run in
        select r.found
        from regexp_matches(
            regexp_replace(
                holds_card_number.value,
                '[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}', '', 'g'
            ),
            '(?<![+0-9A-Za-z])(?<![0-9]\.)([0-9]+(?:' || v_gap || '{1,3}[0-9]+)*)([A-Za-z]?)',
            'g'
        ) as r (found)
    loop
        v_groups := regexp_split_to_array(v_run[1], v_gap || '+');
        if v_run[2] <> '' then
            v_groups := trim_array(v_groups, 1);
        end if;
        for v_first in 1 .. cardinality(v_groups) loop
            v_digits := '';
            for v_last in v_first .. cardinality(v_groups) loop
                v_digits := v_digits || v_groups[v_last];
                exit when char_length(v_digits) > 19;
                if private.is_card_number(v_digits) then
                    return true;
                end if;
            end loop;
        end loop;
    end loop;
    return false;
end
$$;

create or replace function private.is_card_number(digits text)
returns boolean
language sql
immutable
set search_path = ''
as $$
    select
        (
            is_card_number.digits ~ '^[3-6][0-9]{12,18}$'
            or (
                is_card_number.digits ~ '^2[0-9]{15}$'
                and left(is_card_number.digits, 4) between '2221' and '2720'
            )
        )
        and private.passes_luhn(is_card_number.digits)
$$;

create or replace function private.clean_words(value text)
returns text
language sql
immutable
set search_path = ''
as $$
    -- Long numbers go when there might be a card's among them.
    select
        case
            when private.holds_card_number(w.words)
                then regexp_replace(w.words, '[0-9]+', '…', 'g')
            else w.words
        end
    from (
        select left(
            regexp_replace(clean_words.value, '[[:cntrl:]]+', ' ', 'g'), 300
        ) as words
    ) as w
$$;

revoke all on function private.passes_luhn(text) from public;
grant execute on function private.passes_luhn(text) to authenticated, service_role;
revoke all on function private.holds_card_number(text) from public;
revoke all on function private.is_card_number(text) from public;
revoke all on function private.clean_words(text) from public;
grant execute on function private.is_card_number(text) to authenticated, service_role;
grant execute on function private.holds_card_number(text) to authenticated, service_role;

comment on function private.holds_card_number(text) is
'Whether a text holds something that passes for a card number (ISO/IEC 7812: 13 to 19 digits, '
'Luhn check digit). For CHECK constraints named <table>_holds_no_card_number.';

comment on function private.passes_luhn(text) is
'Whether the last of these digits is the Luhn check digit of the others (ISO/IEC 7812-1).';
comment on function private.is_card_number(text) is
'Whether digits alone pass for a card number: length and first digits of ISO/IEC 7812 issuers, and '
'the check digit.';
comment on function private.clean_words(text) is
'Words of a gateway as they may be stored: one line of 300 characters, without card numbers.';
