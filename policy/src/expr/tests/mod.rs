//! Tests of conditions.

mod world;

mod smoke;
