//! The simulator from outside: the rules of its world, the wire, and the port. One binary, so that it links once.

#[cfg(test)]
mod faults;
#[cfg(test)]
mod images;
#[cfg(test)]
mod port;
#[cfg(test)]
mod support;
#[cfg(test)]
mod wire;
#[cfg(test)]
mod world;
