//! The admin API as one table: the router and the OpenAPI document are both made from it.
//!
//! To add an operation: describe it (`described`), write its handler, and put both into a row of [`TABLE`].

mod shape;
pub use shape::{Field, Need, Shape};

mod operation;
pub use operation::{Answer, BODY_MAX, Body, Needs, Operation, Verb};

pub mod described;

mod query;
pub use query::{Query, encoded};

mod page;
pub(super) use page::link;
pub use page::{AFTER, LIMIT, More, NEXT, Page};

pub(super) mod body;

mod table;
pub use table::{Answering, Asked, Handler, Row, TABLE};
pub(super) use table::{Found, find};

mod openapi;
pub use openapi::document;
