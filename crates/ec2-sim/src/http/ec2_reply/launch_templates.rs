//! Launch templates in XML.

use crate::http::xml::Xml;
use crate::reply::{LaunchTemplateVersionView, LaunchTemplateView};

pub(crate) fn template(xml: &mut Xml, view: &LaunchTemplateView) {
    xml.text("launchTemplateId", &view.id);
    xml.text("launchTemplateName", &view.name);
    xml.time("createTime", view.created_at);
    xml.text("createdBy", &view.created_by);
    xml.text("defaultVersionNumber", view.default_version);
    xml.text("latestVersionNumber", view.latest_version);
    xml.tags(&view.tags);
}

pub(crate) fn version(xml: &mut Xml, view: &LaunchTemplateVersionView) {
    xml.text("launchTemplateId", &view.template_id);
    xml.text("launchTemplateName", &view.template_name);
    xml.text("versionNumber", view.number);
    if let Some(description) = &view.description {
        xml.text("versionDescription", description);
    }
    xml.time("createTime", view.created_at);
    xml.text("createdBy", &view.created_by);
    xml.text("defaultVersion", view.is_default);
    xml.element("launchTemplateData", |xml| {
        if let Some(image) = &view.image {
            xml.text("imageId", image.as_str());
        }
        if let Some(instance_type) = &view.instance_type {
            xml.text("instanceType", instance_type);
        }
    });
}
