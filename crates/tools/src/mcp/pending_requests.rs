//! A transport that tracks the requests that wait for answers, and passes the progress of each to
//! its call in order.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use rmcp::RoleClient;
use rmcp::model::{
    ClientJsonRpcMessage, ClientNotification, GetExtensions, GetMeta, ProgressNotificationParam,
    ProgressToken, RequestId, ServerJsonRpcMessage, ServerNotification,
};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;

use super::message::same;
use crate::progress::Progress;

/// The destination of a call's progress, in the extensions of its request.
#[derive(Debug, Clone)]
pub(super) struct Reports {
    pub(super) progress: Progress,
    /// The longest message that is passed on, in bytes.
    pub(super) message_bytes: usize,
    /// Secrets that the server has received and may repeat.
    pub(super) secrets: talkgraph_domain::redact::Known,
    /// The principal of the call.
    pub(super) principal: talkgraph_domain::Principal,
    /// The channel to the person who can answer during the call.
    pub(super) asker: Option<crate::Asker>,
}

impl Reports {
    /// A message in the form that may be shown.
    pub(super) fn shown(&self, message: &str) -> String {
        let hidden = self.secrets.hide(message);
        let shown = crate::hidden_characters::escape_hidden(&hidden);
        crate::output::shortened(&shown, self.message_bytes)
    }
}

/// The requests that wait for answers.
#[derive(Debug, Clone, Default)]
pub(super) struct Waiting(Arc<Mutex<Requests>>);

/// Requests, and the destination of each one's progress, if any.
type Requests = HashMap<RequestId, Option<(ProgressToken, Reports)>>;

impl Waiting {
    /// Their ids.
    pub(super) fn ids(&self) -> Vec<RequestId> {
        self.with(|waiting| waiting.keys().cloned().collect())
    }

    /// The active call to which a server's question belongs. The question does not name one, so all
    /// active calls must be of one principal.
    pub(super) fn asking(&self) -> Option<Reports> {
        self.with(|waiting| {
            let mut calls = waiting.values().flatten().map(|(_, reports)| reports);
            let first = calls.next()?.clone();
            let is_same = |one: &Reports| {
                one.principal.tenant == first.principal.tenant
                    && one.principal.owner == first.principal.owner
            };
            calls.all(is_same).then_some(first)
        })
    }

    fn sent(&self, message: &ClientJsonRpcMessage) {
        match message {
            ClientJsonRpcMessage::Request(sent) => {
                let reports = sent.request.extensions().get::<Reports>().cloned();
                let token = sent.request.get_meta().get_progress_token();
                let watched = token.zip(reports);
                self.with(|waiting| waiting.insert(sent.id.clone(), watched));
            }
            ClientJsonRpcMessage::Notification(sent) => {
                if let ClientNotification::CancelledNotification(off) = &sent.notification
                    && let Some(id) = &off.params.request_id
                {
                    self.answered(id);
                }
            }
            _ => {}
        }
    }

    fn answered(&self, id: &RequestId) {
        self.with(|waiting| waiting.retain(|waits, _| !same(waits, id)));
    }

    fn report(&self, report: &ProgressNotificationParam) {
        let reports = self.with(|waiting| {
            let mut watched = waiting.values().flatten();
            let of = watched.find(|(token, _)| same(&token.0, &report.progress_token.0));
            of.map(|(_, reports)| reports.clone())
        });
        let Some(reports) = reports else { return };
        let message = report.message.as_deref();
        let message = message.map(|message| reports.shown(message));
        reports
            .progress
            .report(report.progress, report.total, message);
    }

    fn with<T>(&self, work: impl FnOnce(&mut Requests) -> T) -> T {
        // Each change is one call, so a panic cannot leave a partial one.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A transport and the requests that it tracks.
pub(super) struct Watched<T> {
    transport: T,
    waiting: Waiting,
}

impl<T> Watched<T> {
    pub(super) fn new(transport: T, waiting: Waiting) -> Self {
        Self { transport, waiting }
    }
}

impl<T: Transport<RoleClient>> Transport<RoleClient> for Watched<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        // Registered before it is sent: the server may respond before this task runs again.
        self.waiting.sent(&item);
        let request = match &item {
            ClientJsonRpcMessage::Request(request) => Some(request.id.clone()),
            _ => None,
        };
        let (waiting, sent) = (self.waiting.clone(), self.transport.send(item));
        async move {
            let sent = sent.await;
            // A message that was not sent has no answer.
            if let (Err(_), Some(id)) = (&sent, request) {
                waiting.answered(&id);
            }
            sent
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        loop {
            let message = self.transport.receive().await?;
            match &message {
                ServerJsonRpcMessage::Notification(said) => {
                    if let ServerNotification::ProgressNotification(report) = &said.notification {
                        self.waiting.report(&report.params);
                        // The service would start a task for each.
                        continue;
                    }
                }
                ServerJsonRpcMessage::Response(answer) => self.waiting.answered(&answer.id),
                ServerJsonRpcMessage::Error(error) => {
                    if let Some(id) = &error.id {
                        self.waiting.answered(id);
                    }
                }
                ServerJsonRpcMessage::Request(_) => {}
            }
            return Some(message);
        }
    }

    fn close(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send {
        self.transport.close()
    }
}
