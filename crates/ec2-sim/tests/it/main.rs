//! The simulator from outside: the rules of its world, the wire, and the port. One binary, so that it links once.

#[cfg(test)]
mod both_faces;
#[cfg(test)]
mod capture;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod images;
#[cfg(test)]
mod lags;
#[cfg(test)]
mod mishaps;
#[cfg(test)]
mod port;
#[cfg(test)]
mod quotas;
#[cfg(test)]
mod references;
#[cfg(test)]
mod removal;
#[cfg(test)]
mod support;
#[cfg(test)]
mod templates;
#[cfg(test)]
mod usage;
#[cfg(test)]
mod wire;
#[cfg(test)]
mod wire_removal;
#[cfg(test)]
mod world;
