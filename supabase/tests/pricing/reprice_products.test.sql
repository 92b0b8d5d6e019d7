-- All prices anew, a batch at a time: nothing is left out, whoever is killed on the way.
begin;
\ir ../_helpers.psql
\ir _prices.psql
select plan(17);

select tests.make_product('p' || n) from generate_series(1, 5) as n;
delete from public.product_prices;
delete from private.product_costs;
select tests.costs('p' || n, n * 8) from generate_series(1, 5) as n;
delete from private.outbox;
update private.repricings
set requested_at = '-infinity', started_at = now(), finished_at = now(), after_id = null;

create function tests.walk() returns text
language plpgsql as $$
declare
    v_answer jsonb;
begin
    perform tests.act_as_service();
    v_answer := service.reprice_products(batch => 2);
    perform tests.act_as_owner();
    return concat_ws(
        ' ', v_answer ->> 'priced', v_answer ->> 'written', v_answer ->> 'is_done'
    );
end
$$;

select is(tests.walk(), '0 0 true', 'nothing was asked for');
select private.request_repricing();
select results_eq(
    $$select o.job, o.args from private.outbox as o$$,
    $$values ('reprice_products', '{}'::jsonb)$$, 'asking makes a job'
);
select private.request_repricing();
select is((select count(*) from private.outbox), 1::bigint, 'one a transaction');
select is(tests.walk(), '4 4 false', 'two listings, two countries');
select is(
    (select count(*) from private.repricings as r where r.after_id is not null), 1::bigint,
    'how far it came is kept'
);
select is(tests.walk(), '4 4 false', 'the next two');
select service.continue_repricing();
select service.continue_repricing();
select is((select count(*) from private.outbox), 2::bigint, 'what is left is another job''s');
select is(tests.walk(), '2 2 true', 'and the last');
select is((select count(*) from public.product_prices), 10::bigint, 'all have their prices');
select is(tests.walk(), '0 0 true', 'then there is nothing to do');
select service.continue_repricing();
select is((select count(*) from private.outbox), 2::bigint, 'nor for another job');

-- a change while it goes on begins it anew
update private.price_rules set percent = 60 where component = 'margin' and lower(costs) = 0;
select private.request_repricing();
select is(tests.walk(), '4 4 false', 'the first two');
update private.price_rules set percent = 70 where component = 'margin' and lower(costs) = 0;
select private.request_repricing();
select is(tests.walk(), '4 4 false', 'from the beginning');
select array_agg(tests.walk()) from generate_series(1, 2);
select is(
    (
        select count(*)
        from private.price_of(array(select c.listing_id from private.product_costs as c)) as p
        inner join public.product_prices as pp
            on p.listing_id = pp.listing_id and p.country = pp.country
        where p.amount = pp.amount
    ),
    10::bigint, 'and in the end every price is of the last rules'
);

-- what changes by the calendar shows within the day
update private.repricings set finished_at = now() - interval '25 hours';
update private.repricings set started_at = finished_at, requested_at = '-infinity';
select is(tests.walk(), '4 0 false', 'after a day all are looked at, and none is written');
select array_agg(tests.walk()) from generate_series(1, 2);
select is(tests.walk(), '0 0 true', 'once');
select is(
    (select r.finished_at >= r.started_at from private.repricings as r), true, 'to the end'
);

select * from finish();
rollback;
