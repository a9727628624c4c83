//! Holding an instance still: everything about it that is not EC2's.
//!
//! In the order of a hold: [`ready`] makes all of it ready and freezes nothing; [`holder`] freezes and thaws; [`told`] says
//! what it was; [`recover`] undoes what a process left that died, and [`left`] says when what a hold left is tried again;
//! [`rehearse`] does all of it without an image. The one who puts them together around the call to EC2 is `task::hold`.
//!
//! Everything here may block, and is called on threads that may.

pub(crate) mod app;
pub(crate) mod facts;
pub(crate) mod holder;
pub(crate) mod left;
pub(crate) mod ready;
pub(crate) mod recover;
pub(crate) mod rehearse;
pub(crate) mod remote;
pub(crate) mod shell;
pub(crate) mod told;
pub(crate) mod volumes;
