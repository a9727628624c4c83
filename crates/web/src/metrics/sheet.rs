//! One line of figures after another, in the words of `prometheus-client`.
//!
//! Every family is written with its help and type, also when it has no series: whoever looks for a name finds it.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeCounterValue, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// The labels of a series that is alone in its family.
pub(crate) const ALONE: [(&str, &str); 0] = [];

/// What a family is called, and what it tells.
#[derive(Debug)]
pub(crate) struct Family {
    /// Without prefix, unit and `_total`.
    name: &'static str,
    unit: Option<Unit>,
    help: &'static str,
}

impl Family {
    pub(crate) const fn new(name: &'static str, help: &'static str) -> Self {
        Self { name, unit: None, help }
    }

    pub(crate) const fn seconds(name: &'static str, help: &'static str) -> Self {
        Self { name, unit: Some(Unit::Seconds), help }
    }

    pub(crate) const fn bytes(name: &'static str, help: &'static str) -> Self {
        Self { name, unit: Some(Unit::Bytes), help }
    }
}

/// What is written on.
pub(crate) struct Sheet<'a>(DescriptorEncoder<'a>);

impl<'a> Sheet<'a> {
    pub(crate) fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self(encoder)
    }

    /// What can go up and down.
    pub(crate) fn gauges<L: EncodeLabelSet>(
        &mut self,
        family: &Family,
        series: impl IntoIterator<Item = (L, f64)>,
    ) -> fmt::Result {
        let mut encoder =
            self.0.encode_descriptor(family.name, family.help, family.unit.as_ref(), MetricType::Gauge)?;
        for (labels, value) in series {
            ConstGauge::new(value).encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// One gauge; nothing where its value is not known.
    pub(crate) fn gauge(&mut self, family: &Family, value: impl Into<Option<f64>>) -> fmt::Result {
        self.gauges(family, value.into().map(|value| (ALONE, value)))
    }

    /// What only grows.
    pub(crate) fn counters<L: EncodeLabelSet, V: EncodeCounterValue>(
        &mut self,
        family: &Family,
        series: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        let mut encoder =
            self.0.encode_descriptor(family.name, family.help, family.unit.as_ref(), MetricType::Counter)?;
        for (labels, value) in series {
            ConstCounter::new(value).encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// A family that is kept elsewhere.
    pub(crate) fn kept(&mut self, family: &Family, metric: &impl EncodeMetric) -> fmt::Result {
        let kind = metric.metric_type();
        metric.encode(self.0.encode_descriptor(family.name, family.help, family.unit.as_ref(), kind)?)
    }
}
