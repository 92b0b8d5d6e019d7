begin;
\ir ../_helpers.psql
select plan(14);

-- request_language reads what browsers send
select is(private.request_language(), null, 'no headers, no language');
create temp table spoken (accept_language text, wanted text);
insert into spoken values
('fr', 'fr'),
('en', 'en'),
('FR-CM', 'fr'),
('fr-FR,fr;q=0.9,en;q=0.8', 'fr'),
('de,en-US;q=0.7', 'en'),
('de', null),
('*', null),
('french', null),
('', null);
select is(
    (
        select r.language
        from (select tests.speaks(s.accept_language), private.request_language() as language) as r
    ),
    s.wanted,
    format('Accept-Language %L is %s', s.accept_language, coalesce(s.wanted, 'no language of ours'))
)
from spoken as s;

-- caller_language always has an answer
select tests.speaks(null);
select tests.make_user('amina', 'fr', 'CM');
select is(private.caller_language(), 'en', 'nobody in particular reads English');
select tests.act_as('amina');
select is(private.caller_language(), 'fr', 'a person reads the language of their row');
select tests.speaks('en');
select is(private.caller_language(), 'en', 'a request in English is answered in English');
select tests.act_as_anon();
select tests.speaks('fr');
select is(private.caller_language(), 'fr', 'a guest''s request in French is answered in French');

select * from finish();
rollback;
