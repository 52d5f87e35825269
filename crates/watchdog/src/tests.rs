use std::sync::mpsc;
use std::time::Duration;

use super::scan::{Finding, Scan};
use super::*;

/// The findings for a task of this name; other tests run at the same time.
fn found(scan: &mut Scan, what: &str, now: Instant) -> Vec<String> {
    let findings = scan.look(now).into_iter();
    let of = |finding: Finding| match finding {
        Finding::Stuck(task, _) if task.what == what => Some(format!("stuck {:?}", task.id)),
        Finding::Ended(task, _) if task.what == what => Some(format!("ended {:?}", task.id)),
        _ => None,
    };
    findings.filter_map(of).collect()
}

#[test]
fn stuck_poll_is_reported_once_and_at_its_end() {
    let (limit, what) = (Duration::from_secs(3600), "a stuck test");
    let mut scan = Scan::new(limit);
    let (go, gone) = mpsc::channel::<()>();
    let (stuck, is_stuck) = mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        let inner = watched(Task::of("a stuck test", "run_1"), async move {
            stuck.send(()).unwrap();
            gone.recv().unwrap();
        });
        let outer = watched(Task::only("an outer test"), inner);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(std::pin::pin!(outer).poll(&mut context).is_ready());
    });
    is_stuck.recv().unwrap();
    let now = Instant::now();
    assert!(found(&mut scan, what, now).is_empty(), "not for long");
    let late = now + limit;
    assert_eq!(found(&mut scan, what, late), ["stuck Some(\"run_1\")"]);
    assert!(found(&mut scan, what, late).is_empty(), "told of once");
    go.send(()).unwrap();
    thread.join().unwrap();
    assert_eq!(found(&mut scan, what, late), ["ended Some(\"run_1\")"]);
    assert!(found(&mut scan, what, late).is_empty());
}

#[test]
fn a_panic_leaves_nothing_behind() {
    let thread = std::thread::spawn(|| {
        let panics = watched(Task::only("a panic test"), async { panic!("scripted") });
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let mut panics: std::pin::Pin<Box<dyn Future<Output = ()>>> = Box::pin(panics);
        let polled = std::panic::AssertUnwindSafe(|| panics.as_mut().poll(&mut context));
        assert!(std::panic::catch_unwind(polled).is_err());
        let is_idle = PLACE.with(|place| place.get().unwrap().polled().is_none());
        assert!(is_idle);
    });
    thread.join().unwrap();
}
