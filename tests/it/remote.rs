//! Repositories on servers, with the real ones on loopback: Git's `http-backend` behind a small server, with and without
//! TLS, and OpenSSH's `sshd`.

mod damage;
mod fetching;
mod following;
mod forge;
mod hostile;
mod limits;
mod manual;
mod signing;
mod sshd;
mod upstream;
