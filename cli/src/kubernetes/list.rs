//! Lists of the API, page by page: read no further than is wanted, and bounded in objects and in bytes.

use super::cluster::ClusterApi;
use super::refusal::{NO_STATUS, Refusal, RefusalKind, TOO_LONG};
use futures_util::{StreamExt as _, stream};
use http::Request;
use http_body_util::BodyExt as _;
use k8s_openapi::jiff::{Timestamp, fmt::rfc2822};
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::client::Body;
use kube::core::Status;
use kube::{Client, Resource as _};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use std::ops::ControlFlow;

/// Objects of one page.
pub const PAGE: u32 = 500;
/// Objects that are kept of one list, at most: a question about more must be narrowed.
pub const MOST: usize = 10_000;
/// The longest answer to one call, in bytes.
const ANSWER_MAX: usize = 64 << 20;
/// Calls that are under way at once, where many of one kind are made.
const AT_ONCE: usize = 16;

/// What was answered.
#[derive(Debug)]
pub struct ApiAnswer {
    /// When, by the API server's own clock: the answer's `Date` (RFC 9110, 6.6.1).
    pub now: Option<Timestamp>,
    /// What.
    pub body: Vec<u8>,
}

/// Makes a call whose answer may be large.
pub async fn answer(client: &Client, request: Request<Vec<u8>>) -> kube::Result<ApiAnswer> {
    let (head, mut body) = client.send(request.map(Body::from)).await?.into_parts();
    let date = head.headers.get(http::header::DATE);
    let now = date.and_then(|date| rfc2822::parse(date.to_str().ok()?).ok());
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            if bytes.len() + data.len() > ANSWER_MAX {
                let says = format!("its answer is longer than {} MiB", ANSWER_MAX >> 20);
                return Err(kube::Error::Api(Box::new(Status::failure(&says, TOO_LONG))));
            }
            bytes.extend_from_slice(&data);
        }
    }
    if head.status.is_success() {
        return Ok(ApiAnswer {
            now: now.map(|now| now.timestamp()),
            body: bytes,
        });
    }
    let status = serde_json::from_slice(&bytes).unwrap_or_else(|_| {
        Status::failure(&String::from_utf8_lossy(&bytes), NO_STATUS).with_code(head.status.as_u16())
    });
    Err(kube::Error::Api(Box::new(status)))
}

/// A page. What is not wanted of its objects is passed over, not kept.
#[derive(Debug, Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
pub struct ListPage<T> {
    #[serde(default)]
    metadata: About,
    /// Its objects.
    #[serde(deserialize_with = "none_as_empty")]
    pub items: Vec<T>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct About {
    r#continue: Option<String>,
    remaining_item_count: Option<u64>,
}

impl<T: DeserializeOwned> ListPage<T> {
    /// Reads a page from the bytes of an answer.
    pub fn of(body: &[u8]) -> kube::Result<Self> {
        serde_json::from_slice(body).map_err(kube::Error::SerdeError)
    }

    /// The token by which the next page is asked for; `None` after the last.
    pub fn next(&self) -> Option<&str> {
        self.metadata.r#continue.as_deref().filter(|token| !token.is_empty())
    }
}

/// A list without objects may be written `null`; one without the field is no list.
fn none_as_empty<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    Option::<Vec<T>>::deserialize(from).map(Option::unwrap_or_default)
}

/// A list, as far as it was read.
#[derive(Debug)]
pub struct ListRead<S> {
    /// What was kept of it.
    pub kept: S,
    /// Objects that were looked at.
    pub seen: usize,
    /// All of them were.
    pub whole: bool,
    /// About so many were not, where the API server gave their number.
    pub left: Option<u64>,
}

impl ClusterApi {
    /// Reads a list until `take` has enough. One that changes too fast for its pages is begun anew once.
    pub async fn fold<K, T, S>(
        &self,
        namespace: Option<&str>,
        params: ListParams,
        take: impl Fn(&mut S, T) -> ControlFlow<()>,
    ) -> Result<ListRead<S>, Refusal>
    where
        K: kube::Resource<DynamicType = ()>,
        T: DeserializeOwned,
        S: Default,
    {
        self.fold_at(&K::url_path(&(), namespace), params, take).await
    }

    /// Reads the list at a path, like `fold`.
    async fn fold_at<T, S>(
        &self,
        path: &str,
        params: ListParams,
        take: impl Fn(&mut S, T) -> ControlFlow<()>,
    ) -> Result<ListRead<S>, Refusal>
    where
        T: DeserializeOwned,
        S: Default,
    {
        let mut params = params.limit(PAGE);
        let mut begun_anew = false;
        let mut read = ListRead {
            kept: S::default(),
            seen: 0,
            whole: false,
            left: None,
        };
        loop {
            let page = self
                .ask(|| async {
                    let request = kube::core::Request::new(path).list(&params);
                    let request = request.map_err(kube::Error::BuildRequest)?;
                    ListPage::<T>::of(&answer(&self.client, request).await?.body)
                })
                .await;
            let page = match page {
                Err(refused) if refused.kind == RefusalKind::Gone && !begun_anew => {
                    begun_anew = true;
                    (read.kept, read.seen, params.continue_token) = (S::default(), 0, None);
                    continue;
                }
                page => page?,
            };
            let next = page.next().map(str::to_owned);
            let behind = if next.is_none() {
                Some(0)
            } else {
                page.metadata.remaining_item_count
            };
            let mut items = page.items.into_iter();
            while let Some(item) = items.next() {
                read.seen += 1;
                if take(&mut read.kept, item).is_break() {
                    read.left = behind.map(|behind| behind + items.len() as u64);
                    return Ok(read);
                }
            }
            if next.is_none() {
                read.whole = true;
                return Ok(read);
            }
            params.continue_token = next;
        }
    }

    /// A whole list of what each object comes to; a refusal where there are more than can be meant.
    pub async fn list<K, T, P>(
        &self,
        namespace: Option<&str>,
        params: ListParams,
        plain: impl Fn(T) -> P,
    ) -> Result<Vec<P>, Refusal>
    where
        K: kube::Resource<DynamicType = ()>,
        T: DeserializeOwned,
    {
        self.list_at(&K::url_path(&(), namespace), &K::plural(&()), namespace, params, plain)
            .await
    }

    /// A list of a kind that is known by its name alone.
    pub async fn list_of<T: DeserializeOwned, P>(
        &self,
        resource: &ApiResource,
        namespace: Option<&str>,
        plain: impl Fn(T) -> P,
    ) -> Result<Vec<P>, Refusal> {
        let path = DynamicObject::url_path(resource, namespace);
        self.list_at(&path, &resource.plural, namespace, ListParams::default(), plain)
            .await
    }

    async fn list_at<T: DeserializeOwned, P>(
        &self,
        path: &str,
        plural: &str,
        namespace: Option<&str>,
        params: ListParams,
        plain: impl Fn(T) -> P,
    ) -> Result<Vec<P>, Refusal> {
        let take = |kept: &mut Vec<P>, item| {
            if kept.len() == MOST {
                return ControlFlow::Break(());
            }
            kept.push(plain(item));
            ControlFlow::Continue(())
        };
        let read = self.fold_at(path, params, take).await?;
        if read.whole {
            return Ok(read.kept);
        }
        Err(Refusal::too_many(plural, namespace, MOST))
    }
}

/// Makes many calls, a few at once, and gives their answers in their order.
pub async fn few_at_once<F: Future>(calls: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    stream::iter(calls).buffered(AT_ONCE).collect().await
}
