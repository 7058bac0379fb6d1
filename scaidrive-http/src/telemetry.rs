//! Log lines, and, with the feature `otel`, traces: every request and job is a span that can go to a collector.
//!
//! Where traces go is said by the variables that OpenTelemetry itself defines; the exporter reads them. Without an
//! endpoint nothing is exported, and no span costs more than its log lines.

use std::io::IsTerminal;

use hyper::HeaderMap;
use scaidrive_core::config::{Config, LogFormat};
use scaidrive_core::model::Error;
use tracing::Span;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

/// Name the collector's address: for traces alone, or for all that OpenTelemetry exports.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

type AnyLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// What is written and exported while this lives.
#[derive(Debug, Default)]
pub struct Telemetry {
    #[cfg(feature = "otel")]
    exports: Option<otel::Exports>,
}

impl Telemetry {
    /// Begins to write log lines to standard error, and to export traces where an endpoint is named.
    ///
    /// # Errors
    /// `Config` for an endpoint that is no address.
    pub fn start(config: &Config) -> Result<Self, Error> {
        let mut layers = vec![lines(config)];
        let telemetry = Self::export(&mut layers)?;
        tracing_subscriber::registry().with(layers).init();
        if cfg!(not(feature = "otel")) && is_wanted() {
            tracing::warn!("this program was built without the feature `otel`: no traces are exported");
        }
        Ok(telemetry)
    }

    #[cfg(feature = "otel")]
    fn export(layers: &mut Vec<AnyLayer>) -> Result<Self, Error> {
        if !is_wanted() {
            return Ok(Self::default());
        }
        let (exports, layer) = otel::Exports::start()?;
        layers.push(layer);
        Ok(Self { exports: Some(exports) })
    }

    #[cfg(not(feature = "otel"))]
    fn export(_: &mut Vec<AnyLayer>) -> Result<Self, Error> {
        Ok(Self::default())
    }

    /// Sends what waits.
    pub fn stop(self) {
        #[cfg(feature = "otel")]
        if let Some(exports) = self.exports {
            exports.stop();
        }
    }
}

fn is_wanted() -> bool {
    ENDPOINTS.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

fn lines(config: &Config) -> AnyLayer {
    let filter = EnvFilter::new(format!("{},hyper=warn,sqlx=warn", config.log_level));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    match config.log_format {
        LogFormat::Json => lines.json().flatten_event(true).with_filter(filter).boxed(),
        LogFormat::Text => lines.with_filter(filter).boxed(),
    }
}

/// Makes a request's span a part of the trace that its client named (W3C `traceparent`), called by its route.
pub(crate) fn begin(span: &Span, headers: &HeaderMap, method: &'static str, path: &'static str) {
    #[cfg(feature = "otel")]
    otel::begin(span, headers, method, path);
    #[cfg(not(feature = "otel"))]
    let _unused = (span, headers, method, path);
}

/// Notes how a request was answered.
pub(crate) fn end(span: &Span, status: hyper::StatusCode) {
    #[cfg(feature = "otel")]
    otel::end(span, status);
    #[cfg(not(feature = "otel"))]
    let _unused = (span, status);
}

#[cfg(feature = "otel")]
mod otel {
    use hyper::{HeaderMap, StatusCode};
    use opentelemetry::propagation::{Extractor, TextMapPropagator};
    use opentelemetry::trace::{Status, TraceContextExt, TracerProvider};
    use opentelemetry_sdk::Resource;
    use opentelemetry_sdk::propagation::TraceContextPropagator;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use scaidrive_core::model::Error;
    use tracing::Span;
    use tracing_opentelemetry::OpenTelemetrySpanExt;
    use tracing_subscriber::Layer;
    use tracing_subscriber::filter::Targets;

    use super::AnyLayer;

    /// What traces call this program unless `OTEL_SERVICE_NAME` says otherwise.
    const SERVICE: &str = "scaidrive";

    #[derive(Debug)]
    pub(super) struct Exports(SdkTracerProvider);

    impl Exports {
        pub(super) fn start() -> Result<(Self, AnyLayer), Error> {
            let exporter = opentelemetry_otlp::SpanExporter::builder().with_http().build();
            let exporter = exporter.map_err(|error| Error::Config {
                faults: vec![format!("OTEL_EXPORTER_OTLP_ENDPOINT: traces cannot be exported: {error}")],
            })?;
            let mut resource = Resource::builder();
            if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
                resource = resource.with_service_name(SERVICE);
            }
            let provider = SdkTracerProvider::builder()
                .with_batch_exporter(exporter)
                .with_resource(resource.build())
                .build();
            // What the exporter itself does is no trace.
            let ours = Targets::new()
                .with_target("scaidrive_http", tracing::Level::INFO)
                .with_target("scaidrive_core", tracing::Level::INFO);
            let layer =
                tracing_opentelemetry::layer().with_tracer(provider.tracer(SERVICE)).with_filter(ours);
            Ok((Self(provider), layer.boxed()))
        }

        pub(super) fn stop(self) {
            if let Err(error) = self.0.shutdown() {
                tracing::warn!(%error, "the last traces were not exported");
            }
        }
    }

    struct Carrier<'h>(&'h HeaderMap);

    impl Extractor for Carrier<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            self.0.get(key)?.to_str().ok()
        }

        fn keys(&self) -> Vec<&str> {
            self.0.keys().map(hyper::header::HeaderName::as_str).collect()
        }
    }

    pub(super) fn begin(span: &Span, headers: &HeaderMap, method: &'static str, path: &'static str) {
        // Refused where nothing is exported, or the span is filtered away.
        if span.set_parent(TraceContextPropagator::new().extract(&Carrier(headers))).is_err() {
            return;
        }
        span.set_attribute("http.request.method", method);
        span.set_attribute("http.route", path);
        span.context().span().update_name(format!("{method} {path}"));
    }

    pub(super) fn end(span: &Span, status: StatusCode) {
        span.set_attribute("http.response.status_code", i64::from(status.as_u16()));
        if status.is_server_error() {
            span.set_status(Status::error(""));
        }
    }
}
