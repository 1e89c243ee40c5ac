//! Questions that a handler has for something outside, such as an identity provider's keys. They
//! are asked while no transaction is held, and the handler runs again with the answer.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use futures_util::future::BoxFuture;
use serde_json::Value;

/// What was answered, or why nothing was: for whoever sent the request.
pub type Answer = Result<Value, String>;

/// Must change nothing that matters outside if it is asked and the request then fails.
pub struct Question {
    /// By which the handler finds the answer: one is asked once a request.
    name: String,
    /// Never locked: it makes the question [`Sync`], as errors are.
    ask: Mutex<BoxFuture<'static, Answer>>,
}

/// What a request has been answered so far.
#[derive(Default)]
pub struct Answers(Mutex<BTreeMap<String, Answer>>);

impl Question {
    pub fn new(name: &str, ask: impl Future<Output = Answer> + Send + 'static) -> Self {
        Self { name: name.to_owned(), ask: Mutex::new(Box::pin(ask)) }
    }
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Answers {
    pub fn find(&self, name: &str) -> Option<Answer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Asks, and keeps the answer. False where the request has asked too much already.
    pub async fn ask(&self, question: Question) -> bool {
        let Question { name, ask } = question;
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).len() >= QUESTIONS_MAX {
            return false;
        }
        let answer = ask.into_inner().unwrap_or_else(PoisonError::into_inner).await;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name, answer);
        true
    }
}

/// Of one request.
const QUESTIONS_MAX: usize = 8;
