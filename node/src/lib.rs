//! A broker and a coordination service in one process: configuration, HTTP, start and stop.
