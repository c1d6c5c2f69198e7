//! What is to be told to others, until it was told: one queue for each receiver.
//!
//! A message is a row that is written where the event happens, so that it outlives the agent, and each has a key, so that
//! it is told once whoever finds the event again. A message that tells of a *topic*, something bad that will be over one
//! day, may wait for a while before it is due. If the topic is over by then, it is never sent; if it was sent, its end is
//! told too. Nothing here knows what a message says.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};

use super::history::moment;
use super::writes::Write;
use super::{Ledger, LedgerError};

/// Messages of one receiver that are kept, told ones among them.
const MESSAGES_MAX: u32 = 10_000;

/// A message for one receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Post<'a> {
    /// The receiver's name.
    pub receiver: &'a str,
    /// What it tells of: a second message of this key is not written.
    pub key: &'a str,
    /// The topic, where it tells of one. Of those that are not due yet, only the last one stays.
    pub topic: Option<&'a str>,
    /// It is not written where a message is there whose key begins so, for that one says it already.
    pub unless: Option<&'a str>,
    /// The message.
    pub message: &'a str,
    /// Not before this.
    pub due: Timestamp,
}

/// A message that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its number, the same each time that it is tried.
    pub id: i64,
    /// The message.
    pub message: String,
    /// How often it was tried.
    pub tries: u32,
    /// Since when it waits.
    pub since: Timestamp,
    /// Not before this.
    pub due: Timestamp,
}

impl Ledger {
    /// Writes messages, each as far as nothing of its key is there.
    pub fn post(&self, posts: &[Post<'_>], now: Timestamp) -> Result<(), LedgerError> {
        self.write(Write::Post, |transaction| {
            posts.iter().try_for_each(|post| put(transaction, post, now).map(drop))
        })
    }

    /// Ends a topic for one receiver: what was not due yet is not told any more. Where something was, or may have been,
    /// told, or is about to be, `recovery` is written. Returns whether something was.
    pub fn topic_is_over(
        &self,
        (receiver, topic): (&str, &str),
        recovery: Option<&Post<'_>>,
        now: Timestamp,
    ) -> Result<bool, LedgerError> {
        let mut told = false;
        self.write(Write::Post, |transaction| {
            transaction.execute(
                "DELETE FROM outbox WHERE receiver = ?1 AND topic = ?2 AND due > ?3 AND tries = 0 AND ended IS NULL",
                params![receiver, topic, now.as_millisecond()],
            )?;
            // The key is free for the next time that this happens.
            let left = transaction.execute(
                "UPDATE outbox SET topic = NULL, key = '#' || seq || ' ' || key WHERE receiver = ?1 AND topic = ?2",
                params![receiver, topic],
            )?;
            told = left > 0;
            match recovery.filter(|_| told) {
                Some(recovery) => put(transaction, recovery, now).map(drop),
                None => Ok(()),
            }
        })?;
        Ok(told)
    }

    /// The message that is to be sent next to `receiver`: the first one that was tried already, else the first one that
    /// is due, else the one that will be. One that was tried keeps all after it waiting, so that their order stays.
    pub fn next_post(&self, receiver: &str, now: Timestamp) -> Result<Option<Waiting>, LedgerError> {
        type Row = (i64, String, u32, i64, i64);
        let row: Option<Row> = self.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT seq, message, tries, since, due FROM outbox WHERE receiver = ?1 AND ended IS NULL
                     ORDER BY tries = 0, tries = 0 AND due > ?2, CASE WHEN due > ?2 THEN due ELSE seq END LIMIT 1",
                )?
                .query_row(params![receiver, now.as_millisecond()], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
                })
                .optional()
        })?;
        row.map(|(id, message, tries, since, due)| {
            Ok(Waiting { id, message, tries, since: moment(since)?, due: moment(due)? })
        })
        .transpose()
        .map_err(|what: String| self.damaged(what))
    }

    /// Records that a message is about to be sent, and when it is tried again if nothing else is heard of it. Returns
    /// whether it is still to be sent.
    pub fn try_post(&self, id: i64, again: Timestamp) -> Result<bool, LedgerError> {
        let mut is_there = false;
        self.write(Write::Deliver, |transaction| {
            let changed = transaction.execute(
                "UPDATE outbox SET tries = tries + 1, due = ?2 WHERE seq = ?1 AND ended IS NULL",
                params![id, again.as_millisecond()],
            )?;
            is_there = changed > 0;
            Ok(())
        })?;
        Ok(is_there)
    }

    /// Records that a message was taken, or is given up: it is not sent again.
    pub fn end_post(&self, id: i64, now: Timestamp) -> Result<(), LedgerError> {
        self.write(Write::Deliver, |transaction| {
            let ended = "UPDATE outbox SET ended = ?2 WHERE seq = ?1";
            transaction.execute(ended, params![id, now.as_millisecond()]).map(drop)
        })
    }

    /// Makes the outbox ready after a start. Topics may be over by now, so what waits of them waits until `settled`, when
    /// the agent has looked. What was told before `old` is forgotten, unless its topic goes on.
    pub fn open_outbox(&self, settled: Timestamp, old: Timestamp) -> Result<(), LedgerError> {
        self.write(Write::Deliver, |transaction| {
            transaction.execute(
                "UPDATE outbox SET due = max(due, ?1) WHERE tries = 0 AND topic IS NOT NULL AND ended IS NULL",
                [settled.as_millisecond()],
            )?;
            let forget = "DELETE FROM outbox WHERE ended < ?1 AND topic IS NULL";
            transaction.execute(forget, [old.as_millisecond()]).map(drop)
        })
    }
}

/// Writes one message, if nothing says it already.
fn put(transaction: &Transaction<'_>, post: &Post<'_>, now: Timestamp) -> Result<usize, rusqlite::Error> {
    let Post { receiver, key, topic, unless, message, due } = *post;
    if let Some(start) = unless {
        let said = "SELECT 1 FROM outbox WHERE receiver = ?1 AND substr(key, 1, length(?2)) = ?2 LIMIT 1";
        if transaction.prepare_cached(said)?.exists(params![receiver, start])? {
            return Ok(0);
        }
    }
    let written = transaction.execute(
        "INSERT OR IGNORE INTO outbox (receiver, key, topic, message, since, due) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![receiver, key, topic, message, now.as_millisecond(), due.as_millisecond()],
    )?;
    if written > 0 {
        transaction.execute(
            "DELETE FROM outbox WHERE receiver = ?1 AND topic = ?2 AND key <> ?3 AND due > ?4 AND tries = 0
                 AND ended IS NULL",
            params![receiver, topic, key, now.as_millisecond()],
        )?;
        transaction.execute(
            "DELETE FROM outbox WHERE seq IN
                 (SELECT seq FROM outbox WHERE receiver = ?1 ORDER BY seq DESC LIMIT -1 OFFSET ?2)",
            params![receiver, MESSAGES_MAX],
        )?;
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn post<'a>(key: &'a str, topic: Option<&'a str>, due: i64) -> Post<'a> {
        Post { receiver: "ops", key, topic, unless: None, message: key, due: at(due) }
    }

    /// Sends everything that is due, and says what it was.
    fn sent(ledger: &Ledger, now: i64) -> Vec<String> {
        let mut sent = Vec::new();
        while let Some(waiting) = ledger.next_post("ops", at(now)).unwrap() {
            if waiting.due > at(now) {
                break;
            }
            assert!(ledger.try_post(waiting.id, at(now + 60)).unwrap());
            ledger.end_post(waiting.id, at(now)).unwrap();
            sent.push(waiting.message);
        }
        sent
    }

    fn over(ledger: &Ledger, recovery: &str, now: i64) -> bool {
        ledger.topic_is_over(("ops", "hold"), Some(&post(recovery, None, now)), at(now)).unwrap()
    }

    #[test]
    fn a_message_is_sent_once_and_in_order() {
        let ledger = Ledger::open_in_memory().unwrap();
        ledger.post(&[post("a", None, 0), post("b", None, 0), post("a", None, 0)], at(0)).unwrap();
        assert_eq!(sent(&ledger, 1), ["a", "b"]);
        ledger.post(&[post("a", None, 2), post("c", None, 2)], at(2)).unwrap();
        assert_eq!(sent(&ledger, 2), ["c"]);
        assert_eq!(ledger.next_post("dev", at(2)).unwrap(), None, "another receiver has its own queue");
    }

    #[test]
    fn what_was_tried_keeps_the_next_ones_waiting_and_what_is_not_due_does_not() {
        let ledger = Ledger::open_in_memory().unwrap();
        let posts = [post("later", Some("t"), 60), post("a", None, 0), post("b", None, 0)];
        ledger.post(&posts, at(0)).unwrap();
        let first = ledger.next_post("ops", at(0)).unwrap().unwrap();
        assert_eq!((first.message.as_str(), first.tries), ("a", 0));
        assert!(ledger.try_post(first.id, at(30)).unwrap());
        let first = ledger.next_post("ops", at(1)).unwrap().unwrap();
        assert_eq!((first.message.as_str(), first.tries, first.due), ("a", 1, at(30)));
        ledger.end_post(first.id, at(31)).unwrap();
        assert!(!ledger.try_post(first.id, at(40)).unwrap(), "it is over");
        assert_eq!(sent(&ledger, 31), ["b"]);
        assert_eq!(ledger.next_post("ops", at(31)).unwrap().unwrap().due, at(60));
        assert_eq!(sent(&ledger, 60), ["later"]);
    }

    #[test]
    fn the_end_of_a_topic_is_told_where_its_beginning_was() {
        let ledger = Ledger::open_in_memory().unwrap();
        ledger.post(&[post("held", Some("hold"), 60)], at(0)).unwrap();
        assert!(!over(&ledger, "admitted", 10));
        assert_eq!(sent(&ledger, 100), Vec::<String>::new(), "it was over before anybody was told");
        for round in ["admitted 1", "admitted 2"] {
            ledger.post(&[post("held", Some("hold"), 100)], at(100)).unwrap();
            assert_eq!(sent(&ledger, 200), ["held"]);
            assert!(over(&ledger, round, 200));
            assert!(!over(&ledger, "again", 200));
            assert_eq!(sent(&ledger, 200), [round]);
        }
    }

    #[test]
    fn what_may_have_been_told_counts_as_told() {
        let ledger = Ledger::open_in_memory().unwrap();
        ledger.post(&[post("held", Some("hold"), 0)], at(0)).unwrap();
        let held = ledger.next_post("ops", at(0)).unwrap().unwrap();
        assert!(ledger.try_post(held.id, at(30)).unwrap());
        // Nobody knows whether it arrived.
        assert!(over(&ledger, "admitted", 1));
        assert_eq!(sent(&ledger, 30), ["held", "admitted"]);
    }

    #[test]
    fn a_topic_has_one_message_and_what_is_said_already_is_not_said_again() {
        let ledger = Ledger::open_in_memory().unwrap();
        ledger.post(&[post("held c1", Some("hold"), 60), post("held c2", Some("hold"), 60)], at(0)).unwrap();
        assert_eq!(sent(&ledger, 60), ["held c2"]);
        ledger.post(&[post("failed c3 d1", None, 60)], at(60)).unwrap();
        let held = Post { unless: Some("failed c3"), ..post("held c3", None, 60) };
        ledger
            .post(&[held, Post { unless: Some("failed c4"), ..post("held c4", None, 60) }], at(60))
            .unwrap();
        assert_eq!(sent(&ledger, 60), ["failed c3 d1", "held c4"]);
    }

    #[test]
    fn a_start_lets_topics_settle_and_forgets_what_is_old() {
        let ledger = Ledger::open_in_memory().unwrap();
        ledger.post(&[post("told", None, 0), post("on", Some("health"), 0)], at(0)).unwrap();
        assert_eq!(sent(&ledger, 0), ["told", "on"]);
        ledger.post(&[post("held", Some("hold"), 5), post("new", None, 5)], at(5)).unwrap();
        ledger.open_outbox(at(100), at(50)).unwrap();
        assert_eq!(sent(&ledger, 50), ["new"]);
        ledger.post(&[post("told", None, 100), post("on", Some("health"), 100)], at(100)).unwrap();
        assert_eq!(sent(&ledger, 100), ["held", "told"], "a topic that goes on is not told again");
    }
}
