//! Files that keep their word, and a simulated disk behind the same trait.
