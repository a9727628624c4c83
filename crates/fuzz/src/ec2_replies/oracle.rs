//! What the answers of EC2 say to an independent and strict reader.

use std::collections::BTreeSet;

use amikeep_cloud_aws::Answer;

use crate::xml::Document;

/// Where a listing has its entries.
pub(super) struct Listing {
    root: &'static str,
    id: &'static str,
}

impl Listing {
    pub(super) const INSTANCES: Self =
        Self { root: "DescribeInstancesResponse", id: "reservationSet/item/instancesSet/item/instanceId" };
    pub(super) const IMAGES: Self = Self { root: "DescribeImagesResponse", id: "imagesSet/item/imageId" };
    pub(super) const SNAPSHOTS: Self = Self { root: "DescribeSnapshotsResponse", id: "snapshotSet/item/snapshotId" };
    pub(super) const REFERENCES: Self =
        Self { root: "DescribeImageReferencesResponse", id: "imageReferenceSet/item/imageId" };
}

/// The answers that were given with success.
pub(super) struct Oracle {
    documents: Vec<Option<Document>>,
}

impl Oracle {
    pub(super) fn of(given: &[Answer]) -> Self {
        let document = |answer: &Answer| match answer {
            Answer::Whole { status, body } if (200..300).contains(status) => Some(Document::parse(body)),
            Answer::Whole { .. } | Answer::Lost => None,
        };
        Self { documents: given.iter().filter_map(document).collect() }
    }

    /// Whether the last page of the listing is whole and names no further page.
    pub(super) fn has_ended(&self, listing: &Listing) -> bool {
        let last = self.pages(listing).last();
        last.is_some_and(|page| page.texts("nextToken").last().is_none_or(str::is_empty))
    }

    /// The ids of all entries on all pages.
    pub(super) fn ids(&self, listing: &Listing) -> BTreeSet<String> {
        self.pages(listing).flat_map(|page| page.texts(listing.id).map(str::to_owned)).collect()
    }

    /// Whether any element of any answer has a text with this in it.
    pub(super) fn says_anywhere(&self, text: &str) -> bool {
        self.documents.iter().flatten().any(|document| document.says(text))
    }

    /// Whether an answer has an element twice that EC2 has once.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.documents.iter().flatten().any(Document::is_ambiguous)
    }

    fn pages(&self, listing: &Listing) -> impl Iterator<Item = &Document> {
        self.documents.iter().flatten().filter(|document| document.root() == listing.root)
    }
}
