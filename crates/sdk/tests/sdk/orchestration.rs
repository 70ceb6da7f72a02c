//! What workflow code is made of: timers, choices, many at once, children, undoing.

use crate::support::Test;
use std::time::Duration;
use tradewind::prelude::*;

#[activity]
async fn double(number: u32) -> Result<u32> {
    Ok(number * 2)
}

/// Goes on until it is asked to stop.
#[activity(heartbeat_timeout = "2s", max_attempts = 1)]
async fn endless() -> Result<u32> {
    loop {
        activity::heartbeat(&"still here".to_owned());
        tokio::select! {
            () = activity::cancelled() => return Err(Error::cancelled()),
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
        }
    }
}

#[activity(max_attempts = 1)]
async fn fail(why: String) -> Result<u32> {
    Err(Error::new(why).with_type("Told"))
}

#[activity]
async fn note(line: String) -> Result<()> {
    NOTES.lock().push(line);
    Ok(())
}

static NOTES: parking_lot::Mutex<Vec<String>> = parking_lot::Mutex::new(Vec::new());

#[workflow]
async fn first_of() -> Result<String> {
    let found = workflow::select! {
        number = endless() => format!("endless gave {number:?}"),
        fired = workflow::sleep(Duration::from_millis(50)) => { fired?; "the timer".into() }
    };
    Ok(found)
}

#[workflow]
async fn many(upto: u32, at_once: usize) -> Result<u32> {
    let doubled = workflow::try_join_all((0..upto).map(double)).at_most(at_once).await?;
    let (one, two) = workflow::join!(double(1), double(2));
    Ok(doubled.iter().sum::<u32>() + one? + two?)
}

#[workflow]
async fn undone(fails: bool) -> Result<u32> {
    workflow::saga(async |saga| {
        double(1).await?;
        saga.compensate(|| note("undo 1".into()));
        double(2).await?;
        saga.compensate(|| note("undo 2".into()));
        if fails { fail("too late".into()).await } else { Ok(7) }
    })
    .await
}

#[workflow]
async fn count_down(from: u32) -> Result<String> {
    match from {
        0 => Ok(format!("run {}", workflow::info().run_id() != workflow::info().first_execution_run_id())),
        _ => workflow::continue_as_new(count_down(from - 1)),
    }
}

#[workflow]
async fn stops_cleanly() -> Result<()> {
    let stopped = workflow::sleep(Duration::from_secs(3_600)).await;
    assert!(stopped.unwrap_err().is_cancelled() && workflow::is_cancelled());
    workflow::detached(note("cleaned up".into())).await?;
    Err(Error::cancelled())
}

#[workflow]
async fn chance() -> Result<(u64, u64, String)> {
    let before = (workflow::random::<u64>(), workflow::uuid().to_string());
    workflow::sleep(Duration::from_millis(1)).await?;
    Ok((before.0, workflow::random::<u64>(), before.1))
}

#[derive(Default)]
struct Mailbox {
    letters: Vec<String>,
}

#[workflow]
impl Mailbox {
    #[entrypoint]
    async fn open(this: This<Self>, until: usize) -> Result<Vec<String>> {
        let filled = this.wait_for(|mailbox| mailbox.letters.len() >= until).timeout(Duration::from_secs(20)).await?;
        assert!(filled, "the letters come");
        Ok(this.read(|mailbox| mailbox.letters.clone()))
    }

    #[signal]
    fn put(&mut self, letter: String) {
        self.letters.push(letter);
    }
}

#[workflow]
async fn parent(child_id: String) -> Result<Vec<String>> {
    let child = Mailbox::open(2).id(child_id.clone()).start().await?;
    child.signal(Mailbox::put("from the parent".into())).await?;
    workflow::external::<Mailbox>(child_id).signal(Mailbox::put("by name".into())).await?;
    child.result().await
}

#[workflow]
async fn failing_child() -> Result<u32> {
    fail("inside the child".into()).await
}

#[workflow]
async fn parent_of_failure() -> Result<String> {
    let error = failing_child().await.unwrap_err();
    let child = error.child().map(|child| child.name.to_owned());
    Ok(format!("{:?} {:?} {:?}", error.kind(), error.failure_type(), child))
}

#[tokio::test]
async fn the_first_that_is_ready_wins_and_the_others_are_asked_to_stop() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.activity(endless).workflow(first_of));
    assert_eq!(test.client.execute(first_of()).await.unwrap(), "the timer");
    worker.stop().await;
    test.stop().await;
}

#[tokio::test]
async fn many_run_at_once_up_to_a_bound() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.activity(double).workflow(many));
    assert_eq!(test.client.execute(many(20, 3)).await.unwrap(), 380 + 6);
    worker.stop().await;
    test.stop().await;
}

#[tokio::test]
async fn a_saga_undoes_in_reverse_and_returns_the_error() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.activity(double).activity(fail).activity(note).workflow(undone));
    assert_eq!(test.client.execute(undone(false)).await.unwrap(), 7);

    let error = test.client.execute(undone(true)).await.unwrap_err();
    let ClientError::Failed(error) = error else { panic!("{error:?}") };
    assert_eq!((error.failure_type(), error.activity().unwrap().name), (Some("Told"), "fail"));
    let undone: Vec<_> = NOTES.lock().iter().filter(|line| line.starts_with("undo")).cloned().collect();
    assert_eq!(undone, ["undo 2", "undo 1"]);
    worker.stop().await;
    test.stop().await;
}

#[tokio::test]
async fn a_run_continues_as_the_next_one() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.workflow(count_down));
    assert_eq!(test.client.execute(count_down(3)).await.unwrap(), "run true");
    worker.stop().await;
    test.stop().await;
}

#[tokio::test]
async fn chance_is_the_same_again_in_a_replay() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.workflow(chance).max_cached_workflows(0));
    let (first, second, id) = test.client.execute(chance()).await.unwrap();
    assert!(first != second && id.len() == 36, "{first} {second} {id}");
    worker.stop().await;
    test.stop().await;
}

#[tokio::test]
async fn a_cancelled_workflow_cleans_up_and_counts_as_cancelled() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.activity(note).workflow(stops_cleanly));
    let handle = test.client.start(stops_cleanly()).await.unwrap();
    handle.cancel().await.unwrap();
    let error = handle.result().await.unwrap_err();
    assert!(matches!(&error, ClientError::Failed(error) if error.is_cancelled()), "{error:?}");
    assert!(NOTES.lock().iter().any(|line| line == "cleaned up"));
    worker.stop().await;
    test.stop().await;
}

#[workflow]
async fn remembers() -> Result<(String, bool, Option<u32>)> {
    workflow::set_memo("stage", Some("packing".to_owned()))?;
    workflow::set_memo::<u32>("gone", None)?;
    let patched = workflow::patched("boxes");
    workflow::sleep(Duration::from_millis(1)).await?;
    let memo = workflow::memo();
    Ok((memo.get::<String>("stage")?.unwrap_or_default(), patched && workflow::patched("boxes"), memo.get("gone")?))
}

#[tokio::test]
async fn a_run_keeps_its_memo_and_its_patches_through_replays() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.workflow(remembers).max_cached_workflows(0));
    assert_eq!(test.client.execute(remembers()).await.unwrap(), ("packing".to_owned(), true, None));
    worker.stop().await;
    test.stop().await;
}

#[tokio::test]
async fn a_parent_talks_to_its_child() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.workflow(parent).workflow(Mailbox::open));
    let letters = test.client.execute(parent(format!("mailbox-{}", test.queue))).await.unwrap();
    assert_eq!(letters, ["from the parent", "by name"]);
    worker.stop().await;
    test.stop().await;
}

#[tokio::test]
async fn a_failed_child_says_what_failed_in_it() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.activity(fail).workflow(failing_child).workflow(parent_of_failure));
    let said = test.client.execute(parent_of_failure()).await.unwrap();
    assert_eq!(said, r#"Application Some("Told") Some("failing_child")"#);
    worker.stop().await;
    test.stop().await;
}
