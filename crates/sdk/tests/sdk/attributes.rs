//! What runs can be found by, and what they tell whoever finds them: search attributes and memos.

use crate::support::{Test, uuid};
use futures_util::TryStreamExt;
use std::time::{Duration, SystemTime};
use temporalio_common::protos::temporal::api::enums::v1::IndexedValueType;
use tradewind::client::Listed;
use tradewind::payload::{Converter, Key, Keyring};
use tradewind::prelude::*;
use tradewind::workflow::{SearchAttributeKey, SearchAttributeTime, SearchAttributes};

const CUSTOMER: SearchAttributeKey<String> = SearchAttributeKey::keyword("OrderCustomer");
const STAGE: SearchAttributeKey<String> = SearchAttributeKey::keyword("OrderStage");
const NOTE: SearchAttributeKey<String> = SearchAttributeKey::text("OrderNote");
const PIECES: SearchAttributeKey<i64> = SearchAttributeKey::int("OrderPieces");
const WEIGHT: SearchAttributeKey<f64> = SearchAttributeKey::float("OrderWeight");
const URGENT: SearchAttributeKey<bool> = SearchAttributeKey::bool("OrderUrgent");
const DUE: SearchAttributeKey<SearchAttributeTime> = SearchAttributeKey::datetime("OrderDue");
const TAGS: SearchAttributeKey<Vec<String>> = SearchAttributeKey::keyword_list("OrderTags");

const TYPES: [(&str, IndexedValueType); 8] = [
    ("OrderCustomer", IndexedValueType::Keyword),
    ("OrderStage", IndexedValueType::Keyword),
    ("OrderNote", IndexedValueType::Text),
    ("OrderPieces", IndexedValueType::Int),
    ("OrderWeight", IndexedValueType::Double),
    ("OrderUrgent", IndexedValueType::Bool),
    ("OrderDue", IndexedValueType::Datetime),
    ("OrderTags", IndexedValueType::KeywordList),
];

#[derive(Default)]
struct Order {
    packed: bool,
}

#[workflow]
impl Order {
    #[entrypoint]
    async fn run(this: This<Self>) -> Result<Vec<String>> {
        let mut seen = Vec::new();
        let mut see = || {
            let now = workflow::search_attributes();
            seen.push(format!("{:?} {:?} {:?}", now.get(&CUSTOMER), now.get(&STAGE), now.get(&NOTE)));
        };
        see();
        workflow::upsert_search_attributes([STAGE.value_set("packing".into()), PIECES.value_set(12)]);
        see();
        this.wait_for(|order| order.packed).await?;
        workflow::upsert_search_attributes([STAGE.value_set("packed".into()), NOTE.value_unset()]);
        see();
        // A replay sees the same.
        workflow::sleep(Duration::from_millis(1)).await?;
        see();
        Ok(seen)
    }

    #[signal]
    fn packed(&mut self) {
        self.packed = true;
    }
}

#[tokio::test]
async fn a_run_is_found_by_what_it_says_of_itself() {
    let test = Test::start().await;
    test.add_search_attributes(TYPES).await;
    let worker = test.worker(|worker| worker.workflow(Order::run).max_cached_workflows(0));
    let (customer, due) = (uuid(), SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000));
    let attributes = SearchAttributes::new([
        CUSTOMER.value_set(customer.clone()),
        NOTE.value_set("leave it at the door".into()),
        WEIGHT.value_set(1.5),
        URGENT.value_set(true),
        DUE.value_set(due.into()),
        TAGS.value_set(vec!["fragile".into(), "gift".into()]),
    ]);
    let order = test.client.start(Order::run()).with(|o| o.search_attributes(attributes)).await.unwrap();

    let mine = format!("OrderCustomer = '{customer}'");
    for filter in [
        "OrderStage = 'packing' AND OrderPieces > 10",
        "OrderWeight < 2.0 AND OrderUrgent = true",
        "OrderDue > '2033-01-01T00:00:00Z' AND OrderDue < '2034-01-01T00:00:00Z'",
        "OrderTags = 'gift'",
        "OrderNote = 'door'",
    ] {
        let found = found(&test, &format!("{mine} AND {filter}")).await;
        assert_eq!(found.id(), order.id(), "{filter}");
        let attributes = found.search_attributes();
        assert_eq!(attributes.get(&WEIGHT), Some(1.5));
        assert_eq!(attributes.get(&URGENT), Some(true));
        assert_eq!(attributes.get(&DUE), Some(due.into()));
        assert_eq!(attributes.get(&TAGS).unwrap(), ["fragile", "gift"]);
    }

    order.signal(Order::packed()).await.unwrap();
    let customer = format!("{:?}", Some(&customer));
    let said = r#"Some("leave it at the door")"#;
    let seen = order.result().await.unwrap();
    assert_eq!(
        seen,
        [
            format!("{customer} None {said}"),
            format!(r#"{customer} Some("packing") {said}"#),
            format!(r#"{customer} Some("packed") None"#),
            format!(r#"{customer} Some("packed") None"#),
        ]
    );
    let found = found(&test, &format!("{mine} AND OrderStage = 'packed' AND OrderNote IS NULL")).await;
    assert_eq!(found.id(), order.id());
    let description = order.describe().await.unwrap();
    let attributes = description.search_attributes();
    assert_eq!((attributes.get(&NOTE), attributes.get(&PIECES)), (None, Some(12)));
    worker.stop().await;
    test.stop().await;
}

#[tokio::test]
async fn an_attribute_that_nobody_has_added_is_refused_by_name() {
    let test = Test::start().await;
    let unknown = SearchAttributes::new([SearchAttributeKey::keyword("NobodyAddedThis").value_set("x".to_owned())]);
    let start = test.client.start(Order::run()).task_queue(&test.queue);
    let refused = start.with(|o| o.search_attributes(unknown)).await.unwrap_err();
    assert!(refused.to_string().contains("NobodyAddedThis"), "{refused}");
    test.stop().await;
}

#[workflow]
async fn noted() -> Result<(Option<String>, Option<u32>, Option<String>)> {
    let by = workflow::memo().get::<String>("asked by")?;
    workflow::set_memo("pages", Some(7_u32))?;
    workflow::set_memo::<String>("draft", None)?;
    workflow::sleep(Duration::from_millis(1)).await?;
    let memo = workflow::memo();
    Ok((by, memo.get("pages")?, memo.get("draft")?))
}

#[tokio::test]
async fn a_memo_is_read_where_it_is_found() {
    a_memo_is_read(Test::start().await).await;
}

#[tokio::test]
async fn an_encrypted_memo_is_read_where_it_is_found() {
    let keys = Keyring::new("k", Key::new(&[1; 32]).unwrap());
    a_memo_is_read(Test::with(|client| client.payloads(Converter::new().encrypt(keys))).await).await;
}

async fn a_memo_is_read(test: Test) {
    let worker = test.worker(|worker| worker.workflow(noted).max_cached_workflows(0));
    let start = test.client.start(noted()).memo("asked by", "ann".to_owned()).memo("draft", "first".to_owned());
    let run = start.await.unwrap();
    assert_eq!(run.result().await.unwrap(), (Some("ann".into()), Some(7), None));

    let closed = format!("WorkflowId = '{}' AND ExecutionStatus = 'Completed'", run.id());
    for memo in [run.describe().await.unwrap().memo(), found(&test, &closed).await.memo()] {
        assert_eq!(memo.get::<String>("asked by").unwrap().as_deref(), Some("ann"));
        assert_eq!(memo.get::<u32>("pages").unwrap(), Some(7));
        assert_eq!(memo.get::<String>("draft").unwrap(), None);
    }
    worker.stop().await;
    test.stop().await;
}

/// The one run that the filter finds, once it does: a list may lag behind.
async fn found(test: &Test, filter: &str) -> Listed {
    for _ in 0..300 {
        let mut listed: Vec<Listed> = test.client.list(filter).try_collect().await.expect("the filter is understood");
        assert!(listed.len() <= 1, "{filter}");
        if let Some(found) = listed.pop() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("nothing is found by {filter}");
}
