//! What a path may look like, and how it comes apart. The rules are ZooKeeper's `PathUtils.validatePath`.

use super::limits::PATH_BYTES_MAX;
use crate::error::CoordError;

/// Holds the ensemble's configuration.
pub(crate) const CONFIG: &str = "/zookeeper/config";

/// Znodes that belong to the service itself; they cannot be deleted.
pub(crate) const SPECIAL: [&str; 4] = ["/", "/zookeeper", CONFIG, "/zookeeper/quota"];

/// Checks that `path` is absolute and normal: no empty, `.` or `..` names, no control or private characters.
pub(crate) fn check_path(path: &str) -> Result<(), CoordError> {
    let bad = |reason| {
        Err(CoordError::BadArguments {
            path: path.chars().take(200).collect(),
            reason,
        })
    };
    if path.len() > PATH_BYTES_MAX {
        return Err(CoordError::TooLarge {
            what: "a path",
            size: path.len(),
            limit: PATH_BYTES_MAX,
        });
    }
    let Some(rest) = path.strip_prefix('/') else {
        return bad("a path starts with /");
    };
    if rest.is_empty() {
        return Ok(());
    }
    if path.ends_with('/') {
        return bad("a path does not end with /");
    }
    for name in rest.split('/') {
        match name {
            "" => return bad("a path has no empty names"),
            "." | ".." => return bad("a path is not relative"),
            _ => {}
        }
    }
    // ZooKeeper judges UTF-16 units, so whatever needs a surrogate pair is refused with the surrogates.
    let refused = |c: char| matches!(c, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..);
    if path.chars().any(refused) {
        return bad("a path has no control, private or special characters");
    }
    Ok(())
}

/// The parent's path and the last name. The root has no parent; it comes apart into `"/"` and `""`.
pub(crate) fn split(path: &str) -> (&str, &str) {
    match path.rfind('/') {
        Some(0) | None => ("/", path.trim_start_matches('/')),
        Some(at) => (&path[..at], &path[at + 1..]),
    }
}

/// The names on the way from the root; none for the root itself.
pub(crate) fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_judged_as_zookeeper_judges_them() {
        for good in [
            "/", "/a", "/a/b", "/a.b", "/.a", "/a..", "/...", "/ä", "/a b", "/日本",
        ] {
            assert!(check_path(good).is_ok(), "{good:?}");
        }
        for bad in [
            "",
            "a",
            "//",
            "/a/",
            "/a//b",
            "/.",
            "/..",
            "/a/./b",
            "/a/../b",
            "/a\0",
            "/a\u{1}",
            "/a\u{1f}",
            "/a\u{7f}",
            "/a\u{9f}",
            "/a\u{e000}",
            "/a\u{f8ff}",
            "/a\u{fff0}",
            "/a\u{1f600}",
        ] {
            assert_eq!(
                check_path(bad).unwrap_err().code(),
                crate::ErrorCode::BadArguments,
                "{bad:?}"
            );
        }
        assert!(check_path(&format!("/{}", "x".repeat(PATH_BYTES_MAX))).is_err());
    }

    #[test]
    fn paths_come_apart_at_the_last_slash() {
        assert_eq!(split("/a/b/c"), ("/a/b", "c"));
        assert_eq!(split("/a"), ("/", "a"));
        assert_eq!(split("/"), ("/", ""));
        assert_eq!(names("/a/b").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(names("/").count(), 0);
    }
}
