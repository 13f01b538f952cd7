//! One suite, every database: no caller can tell which one it has.

mod sqlite {
    shared::engine_suite!(shared::testing::database::TestDatabase::sqlite());
}

mod postgres {
    shared::engine_suite!(shared::testing::database::TestDatabase::postgres());
}
