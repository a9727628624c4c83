//! A small world, calls in few words, and just enough of an HTTP client.

use std::io::{Read, Write};
use std::net::TcpStream;

use amikeep_domain::id::{ImageId, SnapshotId};
use amikeep_ec2_sim::http::Server;
use amikeep_ec2_sim::{
    ApiError, CreateImage, CreateLaunchTemplate, CreateLaunchTemplateVersion, Delivery, DescribeImages, Filter,
    ImageDuration, ImageView, InstanceSpec, Invocation, LaunchTemplateData, LaunchTemplateId, LaunchTemplateRef,
    MachineAttributes, NewTag, Place, Query, Reboot, RegisterImage, Reply, Request, RequestLimits, SnapshotMapping,
    SnapshotView, TagSpecification, World, WorldBuilder, default_identity,
};
use jiff::SignedDuration;

pub(crate) const ACCOUNT: &str = "111122223333";
pub(crate) const DB: &str = "i-0db00000000000001";
pub(crate) const WEB: &str = "i-0e000000000000001";

pub(crate) fn secs(secs: i64) -> SignedDuration {
    SignedDuration::from_secs(secs)
}

/// A database with two volumes and a web server; images take ten minutes and nothing is limited.
pub(crate) fn builder() -> WorldBuilder {
    World::builder()
        .account(ACCOUNT)
        .region("eu-central-1")
        .image_duration(ImageDuration::Fixed(secs(600)))
        .request_limits(RequestLimits::Off)
        .instance(InstanceSpec::new(DB).tag("Name", "db-1").volume("/dev/xvda", 8).volume("/dev/sdf", 100))
        .instance(InstanceSpec::new(WEB).tag("Name", "web-1"))
}

pub(crate) fn place() -> Place {
    Place { account: ACCOUNT.parse().unwrap(), region: "eu-central-1".parse().unwrap() }
}

pub(crate) fn deliver(world: &World, request: Request, dry_run: bool) -> Delivery {
    let place = place();
    world.call(&Invocation { caller: default_identity(&place.account), region: place.region, request, dry_run })
}

pub(crate) fn call(world: &World, request: Request) -> Result<Reply, ApiError> {
    match deliver(world, request, false) {
        Delivery::Answer(reply) => Ok(reply),
        Delivery::Refusal(error) => Err(error),
        other => panic!("no answer: {other:?}"),
    }
}

pub(crate) fn code(world: &World, request: Request) -> String {
    call(world, request).unwrap_err().code.into_owned()
}

pub(crate) fn create_image(instance: &str, name: &str, reboot: Reboot) -> CreateImage {
    let tags = vec![NewTag { key: "job".into(), value: name.into() }];
    let specification = |kind: &str| TagSpecification { resource_type: kind.into(), tags: tags.clone() };
    CreateImage {
        instance_id: instance.into(),
        name: name.into(),
        description: None,
        reboot,
        mappings: Vec::new(),
        tag_specifications: vec![specification("image"), specification("snapshot")],
    }
}

pub(crate) fn image(world: &World, instance: &str, name: &str, reboot: Reboot) -> ImageId {
    match call(world, Request::CreateImage(create_image(instance, name, reboot))).unwrap() {
        Reply::ImageCreated(id) => id,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn filtered(filters: Vec<Filter>) -> Query {
    Query { filters, ..Query::default() }
}

pub(crate) fn images(world: &World) -> Vec<ImageView> {
    match call(world, Request::DescribeImages(DescribeImages::default())).unwrap() {
        Reply::Images(page) => page.items,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn snapshots(world: &World) -> Vec<SnapshotView> {
    let request = Request::DescribeSnapshots { ids: vec![], owners: vec!["self".into()], query: Query::default() };
    match call(world, request).unwrap() {
        Reply::Snapshots(page) => page.items,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn delete_snapshot(id: &SnapshotId) -> Request {
    Request::DeleteSnapshot { snapshot_id: id.to_string() }
}

pub(crate) fn deregister(id: &ImageId, delete_snapshots: bool) -> Request {
    Request::DeregisterImage { image_id: id.to_string(), delete_snapshots }
}

pub(crate) fn template(name: &str, image: &str) -> Request {
    Request::CreateLaunchTemplate(CreateLaunchTemplate {
        name: name.into(),
        description: None,
        data: LaunchTemplateData { image_id: Some(image.into()), instance_type: None },
        tag_specifications: vec![],
        client_token: None,
    })
}

pub(crate) fn template_by_name(name: &str) -> LaunchTemplateRef {
    LaunchTemplateRef { id: None, name: Some(name.into()) }
}

pub(crate) fn template_version(template: &str, image: &str) -> Request {
    Request::CreateLaunchTemplateVersion(CreateLaunchTemplateVersion {
        template: template_by_name(template),
        source_version: None,
        description: None,
        data: LaunchTemplateData { image_id: Some(image.into()), instance_type: None },
        client_token: None,
    })
}

pub(crate) fn make_template(world: &World, name: &str, image: &str) -> LaunchTemplateId {
    match call(world, template(name, image)).unwrap() {
        Reply::LaunchTemplate(view) => view.id,
        other => panic!("{other:?}"),
    }
}

/// An image whose root is a snapshot that is there.
pub(crate) fn register(name: &str, snapshot: &SnapshotId) -> Request {
    Request::RegisterImage(RegisterImage {
        name: name.into(),
        description: None,
        architecture: "arm64".into(),
        root_device_name: "/dev/xvda".into(),
        mappings: vec![SnapshotMapping::new("/dev/xvda", snapshot.as_str())],
        instance_store: vec![],
        machine: MachineAttributes::default(),
        tag_specifications: vec![],
    })
}

/// Sends parameters as a signed POST; the answer is empty when the connection is cut.
pub(crate) async fn post(server: &Server, service: &str, parameters: &[(&str, &str)]) -> String {
    let body: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    let headers = format!(
        "Authorization: AWS4-HMAC-SHA256 Credential=AKIASIM0{ACCOUNT}/20260101/eu-central-1/{service}/aws4_request, \
         SignedHeaders=host, Signature=00\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    );
    exchange(server, format!("POST / HTTP/1.1\r\n{headers}Content-Length: {}\r\n", body.len()), body).await
}

pub(crate) async fn exchange(server: &Server, head: String, body: String) -> String {
    let address = server.url().trim_start_matches("http://").to_owned();
    let exchange = move || {
        let mut stream = TcpStream::connect(&address).unwrap();
        write!(stream, "{head}Host: {address}\r\nConnection: close\r\n\r\n{body}").unwrap();
        let mut answer = Vec::new();
        // A cut connection may end with a reset.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    };
    tokio::task::spawn_blocking(exchange).await.unwrap()
}

/// Sends an action of EC2.
pub(crate) async fn ec2(server: &Server, action: &str, parameters: &[(&str, &str)]) -> String {
    let mut all = vec![("Action", action), ("Version", "2016-11-15")];
    all.extend_from_slice(parameters);
    post(server, "ec2", &all).await
}
