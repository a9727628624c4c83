//! The HTTP face: EC2's and STS's Query protocol, and the JSON of Systems Manager and Service Quotas, on a loopback port.
//!
//! It translates and nothing more: what a call does, and how it goes wrong, is the world's alone, so that this face
//! and the one in process cannot differ.

mod auth;
mod ec2_reply;
mod ec2_request;
mod form;
mod quotas;
mod ssm;
mod sts;
mod wire;
mod xml;

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::ApiError;
use crate::http::auth::Credential;
use crate::http::form::Form;
use crate::http::wire::{CuttableListener, Scissors};
use crate::reply::Reply;
use crate::request::Request;
use crate::time_text::http_date;
use crate::world::identity::{Service, access_key_id};
use crate::world::{Delivery, Invocation, Place, World};

/// What broken proxies send with status 200.
const GARBAGE: &str = "<html><head><title>Welcome</title></head><body>Please log in.</body></html>";

#[derive(Debug, Clone)]
struct Face {
    world: World,
    stop: CancellationToken,
}

/// Serves `world` on `listener` until `shutdown`. Refuses to serve anything but loopback: nothing here is protected.
pub async fn serve(
    listener: TcpListener,
    world: World,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    if !listener.local_addr()?.ip().is_loopback() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the simulator serves loopback addresses only"));
    }
    let stop = CancellationToken::new();
    let face = Face { world, stop: stop.clone() };
    let router = Router::new().fallback(answer).with_state(face);
    let service = router.into_make_service_with_connect_info::<Scissors>();
    axum::serve(CuttableListener(listener), service)
        .with_graceful_shutdown(async move {
            shutdown.await;
            // Calls that hang would keep the server for ever.
            stop.cancel();
        })
        .await
}

/// A running HTTP face, for tests and the demo. It stops when it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    /// Serves `world` on a free loopback port.
    pub async fn start(world: World) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(serve(listener, world, stop.clone().cancelled_owned()));
        tasks.close();
        Ok(Self { address, stop, tasks })
    }

    /// What to give a client as its endpoint.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What a program needs in its environment to call this server as the account of `place`, and nothing else: the
    /// `aws` command line and the AWS SDKs understand it. Configuration files of the machine are kept out.
    pub fn client_environment(&self, place: &Place) -> [(&'static str, String); 7] {
        [
            ("AWS_ENDPOINT_URL", self.url()),
            ("AWS_ACCESS_KEY_ID", access_key_id(&place.account)),
            ("AWS_SECRET_ACCESS_KEY", "any".to_owned()),
            ("AWS_DEFAULT_REGION", place.region.to_string()),
            ("AWS_REGION", place.region.to_string()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
        ]
    }

    /// Stops it and waits until it is gone.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What the parameters of a request ask of EC2, and whether it is a dry run: the body of a `POST`, decoded.
pub fn decode(encoded: &[u8]) -> Result<(Request, bool), ApiError> {
    ec2_request::parse(&Form::parse(encoded)?)
}

/// The answer of `world` to one request to EC2 by the account of `place`, without a connection: the HTTP status and the
/// body. `None` where the connection would be cut, left hanging or answered with garbage.
pub fn answer_to(world: &World, place: &Place, encoded: &[u8]) -> Option<(u16, String)> {
    let request_id = world.request_id();
    let (key, region) = (access_key_id(&place.account), place.region.as_str());
    let scope = format!("{key}/20260101/{region}/ec2/aws4_request");
    let signed = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=any");
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, HeaderValue::from_str(&signed).ok()?);
    match call(world, encoded, &headers) {
        (service, Delivered::Answer(request, reply)) => Some((200, render(service, &request, &reply, &request_id))),
        (service, Delivered::Refusal(error)) => Some((error.status, render_refusal(service, &error, &request_id))),
        (_, Delivered::CutInBody(..) | Delivered::Cut | Delivered::Hang | Delivered::Garbage) => None,
    }
}

async fn answer(
    State(face): State<Face>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let way = face.world.latency() / 2;
    tokio::time::sleep(way).await;
    let request_id = face.world.request_id();
    let encoded = if method == Method::POST { &body[..] } else { uri.query().unwrap_or_default().as_bytes() };
    let (service, delivery) = call(&face.world, encoded, &headers);
    let document = |status, text| document(status, service, &request_id, text);
    let now = http_date(face.world.clock().now());
    let mut response = match delivery {
        Delivered::Answer(request, reply) => document(StatusCode::OK, render(service, &request, &reply, &request_id)),
        Delivered::CutInBody(request, reply) => {
            let text = render(service, &request, &reply, &request_id);
            scissors.cut_in_body(text.len() / 2);
            document(StatusCode::OK, text)
        }
        Delivered::Refusal(error) => {
            let text = render_refusal(service, &error, &request_id);
            let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST);
            document(status, text)
        }
        Delivered::Cut => {
            scissors.cut();
            StatusCode::NO_CONTENT.into_response()
        }
        Delivered::Hang => {
            face.stop.cancelled().await;
            scissors.cut();
            StatusCode::NO_CONTENT.into_response()
        }
        Delivered::Garbage => ([(header::CONTENT_TYPE, "text/html")], GARBAGE).into_response(),
    };
    tokio::time::sleep(way).await;
    // The world's time: the host's would be put there otherwise.
    if let Ok(date) = HeaderValue::from_str(&now) {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

fn render(service: Service, request: &Request, reply: &Reply, request_id: &str) -> String {
    match service {
        Service::Ec2 => ec2_reply::render(request.action(), reply, request_id),
        Service::Sts => sts::render(reply, request_id),
        Service::Ssm => ssm::render(reply),
        Service::ServiceQuotas => quotas::render(reply),
    }
}

fn render_refusal(service: Service, error: &ApiError, request_id: &str) -> String {
    match service {
        Service::Ec2 => ec2_reply::render_error(error, request_id),
        Service::Sts => sts::render_error(error, request_id),
        Service::Ssm => ssm::render_error(error),
        Service::ServiceQuotas => quotas::render_error(error),
    }
}

fn document(status: StatusCode, service: Service, request_id: &str, text: String) -> Response {
    let content_type = match service {
        Service::Ec2 | Service::Sts => "text/xml;charset=UTF-8",
        Service::Ssm | Service::ServiceQuotas => "application/x-amz-json-1.1",
    };
    let headers = [("content-type", content_type), ("x-amzn-requestid", request_id)];
    (status, headers, text).into_response()
}

/// A [`Delivery`] with the request that it answers.
enum Delivered {
    Answer(Request, Box<Reply>),
    CutInBody(Request, Box<Reply>),
    Refusal(ApiError),
    Cut,
    Hang,
    Garbage,
}

fn call(world: &World, encoded: &[u8], headers: &HeaderMap) -> (Service, Delivered) {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let credential = match auth::parse(text("authorization")) {
        Ok(credential) => credential,
        Err(error) => return (Service::Ec2, Delivered::Refusal(error)),
    };
    let service = credential.service;
    let target = text("x-amz-target");
    let invocation = match invocation(world, encoded, target, credential, text("x-amz-security-token")) {
        Ok(invocation) => invocation,
        Err(error) => return (service, Delivered::Refusal(error)),
    };
    let delivered = match world.call(&invocation) {
        Delivery::Answer(reply) => Delivered::Answer(invocation.request, Box::new(reply)),
        Delivery::CutInBody(reply) => Delivered::CutInBody(invocation.request, Box::new(reply)),
        Delivery::Refusal(error) => Delivered::Refusal(error),
        Delivery::Cut => Delivered::Cut,
        Delivery::Hang => Delivered::Hang,
        Delivery::Garbage => Delivered::Garbage,
    };
    (service, delivered)
}

fn invocation(
    world: &World,
    encoded: &[u8],
    target: Option<&str>,
    credential: Credential,
    token: Option<&str>,
) -> Result<Invocation, ApiError> {
    let caller = world.authenticate(credential.service, &credential.access_key_id, token)?;
    let (request, dry_run) = match credential.service {
        Service::Ec2 => ec2_request::parse(&Form::parse(encoded)?)?,
        Service::Sts => (sts::parse(&Form::parse(encoded)?)?, false),
        Service::Ssm => (ssm::parse(target, encoded)?, false),
        Service::ServiceQuotas => (quotas::parse(target, encoded)?, false),
    };
    Ok(Invocation { caller, region: credential.region, request, dry_run })
}
