//! Four-letter words: what a server tells who asks with four bytes and nothing else. Each has its text in a file here;
//! their form is what scripts and clients take apart.

mod dump;
mod monitor;
mod server;
mod settings;
mod watches;

use std::sync::Arc;

use super::Context;

/// What is answered where the member cannot serve.
const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests\n";

/// The words that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Conf,
    Cons,
    Crst,
    Dirs,
    Dump,
    Envi,
    Gtmk,
    Isro,
    Mntr,
    Ruok,
    Srst,
    Srvr,
    Stat,
    Wchc,
    Wchp,
    Wchs,
}

impl Word {
    const ALL: [(Word, &str); 16] = [
        (Word::Conf, "conf"),
        (Word::Cons, "cons"),
        (Word::Crst, "crst"),
        (Word::Dirs, "dirs"),
        (Word::Dump, "dump"),
        (Word::Envi, "envi"),
        (Word::Gtmk, "gtmk"),
        (Word::Isro, "isro"),
        (Word::Mntr, "mntr"),
        (Word::Ruok, "ruok"),
        (Word::Srst, "srst"),
        (Word::Srvr, "srvr"),
        (Word::Stat, "stat"),
        (Word::Wchc, "wchc"),
        (Word::Wchp, "wchp"),
        (Word::Wchs, "wchs"),
    ];

    /// The word that these bytes are. No length of a frame looks like one: they are all past any limit.
    pub(crate) fn of_bytes(bytes: [u8; 4]) -> Option<Word> {
        let found = Word::ALL.iter().find(|(_, name)| name.as_bytes() == bytes);
        found.map(|(word, _)| *word)
    }

    fn name(self) -> &'static str {
        let found = Word::ALL.iter().find(|(word, _)| *word == self);
        found.map_or("", |(_, name)| name)
    }
}

/// The answer to a word.
pub(crate) async fn answer(context: &Arc<Context>, word: Word) -> String {
    let allowed = |listed: &String| listed == "*" || listed == word.name();
    // Scripts that start and stop a server ask for srvr, so it needs no permission.
    if word != Word::Srvr && !context.config.words.iter().any(allowed) {
        return format!(
            "{} is not executed because it is not in the whitelist.\n",
            word.name()
        );
    }
    let context = Arc::clone(context);
    // Some walk through everything there is, or through folders: not on a thread that serves.
    let text = tokio::task::spawn_blocking(move || text(&context, word)).await;
    text.unwrap_or_default()
}

fn text(context: &Context, word: Word) -> String {
    let serving = context.wire.is_serving();
    match word {
        Word::Ruok => "imok".to_owned(),
        Word::Envi => settings::environment(),
        Word::Gtmk => "306".to_owned(),
        Word::Isro if !serving => "null".to_owned(),
        _ if !serving => NOT_SERVING.to_owned(),
        Word::Isro if context.is_read_only() => "ro".to_owned(),
        Word::Isro => "rw".to_owned(),
        Word::Conf => settings::configuration(&context.config),
        Word::Dirs => settings::folders(&context.config),
        Word::Cons => server::connections(context),
        Word::Crst => {
            for traffic in context.registry.open() {
                traffic.reset();
            }
            "Connection stats reset.\n".to_owned()
        }
        Word::Srst => {
            context.wire.reset_stats();
            "Server stats reset.\n".to_owned()
        }
        Word::Srvr => server::server(context, false),
        Word::Stat => server::server(context, true),
        Word::Mntr => monitor::monitor(context),
        Word::Dump => dump::dump(context),
        Word::Wchs => watches::summary(&context.wire.stats()),
        Word::Wchc => watches::by_session(&context.wire.watches()),
        Word::Wchp => watches::by_path(&context.wire.watches()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_is_a_length_within_the_limit() {
        for (word, name) in Word::ALL {
            let bytes: [u8; 4] = name.as_bytes().try_into().unwrap();
            assert_eq!(Word::of_bytes(bytes), Some(word));
            assert!(i32::from_be_bytes(bytes) > 1 << 30);
        }
        assert_eq!(Word::of_bytes(*b"xxxx"), None);
    }
}
