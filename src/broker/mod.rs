//! Actors, and only here: thin shells around machine/ and storage/.
