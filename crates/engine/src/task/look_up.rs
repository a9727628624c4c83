//! Settling unknown outcomes by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use amikeep_cloud::{Action, Cloud, ImageQuery, SeenImage};
use amikeep_domain::id::AccountName;
use amikeep_domain::job::{Job, JobEvent};
use amikeep_domain::plan::Reading;

use crate::context::Context;
use crate::judge::judge_look_up;
use crate::report::{Looked, Recorded, Report};
use crate::task::record::record_changes;

pub(crate) async fn look_up_names<C: Cloud>(ctx: &Context<C>, account: AccountName, jobs: Vec<Job>) -> Report {
    let at = ctx.now();
    let asked: Vec<_> = jobs.iter().map(|job| job.id).collect();
    let names = jobs.iter().filter_map(|job| job.intent.as_ref().map(|intent| intent.name.clone())).collect();
    let ask = |cloud: Arc<C>| async move { cloud.observe_images(ImageQuery::Names(names)).await };
    let answer = ctx.call(&account, Action::DescribeImages, ask).await;
    let looked = |recorded, error| {
        let (absent, seen) = (Vec::new(), Vec::new());
        Report::Looked(Looked {
            account: account.clone(),
            reading: Reading::Names,
            at,
            asked,
            absent,
            seen,
            recorded,
            error,
        })
    };
    let images = match answer {
        Ok(images) => images,
        Err(error) => return looked(Recorded::default(), Some(error)),
    };
    let by_name: BTreeMap<&str, &SeenImage> = images.iter().map(|image| (image.name.as_str(), image)).collect();
    let lag = ctx.visibility_lag(&account);
    let changes: Vec<(Job, JobEvent)> = jobs
        .into_iter()
        .filter_map(|job| {
            let name = job.intent.as_ref()?.name.as_str().to_owned();
            let event = judge_look_up(&job, by_name.get(name.as_str()).copied(), lag, ctx.started_at, at)?;
            Some((job, event))
        })
        .collect();
    looked(record_changes(ctx, &changes).await, None)
}
