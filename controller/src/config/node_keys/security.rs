//! Keys of a node: who is who, and who may do what.

use crate::config::key::{Key, keys};

pub const SECURITY: &[Key] = keys! {
    /// The class that says who may do what. There is none here yet, so setting it is refused.
    "authorizer.class.name": String = "", Any, Low, ReadOnly, Refused;
    /// How often expired delegation tokens are removed.
    "delegation.token.expiry.check.interval.ms": Long = "3600000",
        AtLeast(1), Low, ReadOnly, NoEffect;
    /// How long a delegation token is valid before it must be renewed.
    "delegation.token.expiry.time.ms": Long = "86400000", AtLeast(1), Medium, ReadOnly, NoEffect;
    /// How long a delegation token can be renewed.
    "delegation.token.max.lifetime.ms": Long = "604800000", AtLeast(1), Medium, ReadOnly, NoEffect;
    /// The secret that delegation tokens are signed with. It must be the same on all nodes.
    "delegation.token.secret.key": Password, Any, Medium, ReadOnly, NoEffect;
    /// The class that names who is behind a connection. It cannot be run here, so setting it is
    /// refused.
    "principal.builder.class": Class = "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder",
        Any, Medium, PerBroker, Refused;
    /// The class that gives a SASL client its credentials.
    "sasl.client.callback.handler.class": Class, Any, Medium, ReadOnly, NoEffect;
    /// The SASL mechanisms that clients may use.
    "sasl.enabled.mechanisms": List = "GSSAPI", Items, Medium, PerBroker, NoEffect;
    /// The login of a listener and mechanism, in JAAS form.
    "sasl.jaas.config": Password, Any, Medium, PerBroker, NoEffect;
    /// The path of Kerberos' `kinit`.
    "sasl.kerberos.kinit.cmd": String = "/usr/bin/kinit", Any, Medium, PerBroker, NoEffect;
    /// How long a Kerberos login rests between two attempts to renew it.
    "sasl.kerberos.min.time.before.relogin": Long = "60000", Any, Medium, PerBroker, NoEffect;
    /// How Kerberos principals become short names.
    "sasl.kerberos.principal.to.local.rules": List = "DEFAULT",
        Items, Medium, PerBroker, NoEffect;
    /// The Kerberos principal that the brokers run as.
    "sasl.kerberos.service.name": String, Any, Medium, PerBroker, NoEffect;
    /// Which share of a ticket's life is added at random before it is renewed.
    "sasl.kerberos.ticket.renew.jitter": Double = "0.05", Any, Medium, PerBroker, NoEffect;
    /// After which share of its life a Kerberos ticket is renewed.
    "sasl.kerberos.ticket.renew.window.factor": Double = "0.8", Any, Medium, PerBroker, NoEffect;
    /// The class that answers questions of a SASL login.
    "sasl.login.callback.handler.class": Class, Any, Medium, ReadOnly, NoEffect;
    /// The class that performs a SASL login.
    "sasl.login.class": Class, Any, Medium, ReadOnly, NoEffect;
    /// How long a connection to an external provider of logins may take to come about.
    "sasl.login.connect.timeout.ms": Int, Any, Low, ReadOnly, NoEffect;
    /// How long an answer of an external provider of logins may take.
    "sasl.login.read.timeout.ms": Int, Any, Low, ReadOnly, NoEffect;
    /// How long before its end a credential is renewed at the latest.
    "sasl.login.refresh.buffer.seconds": Short = "300", Any, Medium, PerBroker, NoEffect;
    /// How long a credential is used at least before it is renewed.
    "sasl.login.refresh.min.period.seconds": Short = "60", Any, Medium, PerBroker, NoEffect;
    /// After which share of its life a credential is renewed.
    "sasl.login.refresh.window.factor": Double = "0.8", Any, Medium, PerBroker, NoEffect;
    /// Which share of a credential's life is added at random before it is renewed.
    "sasl.login.refresh.window.jitter": Double = "0.05", Any, Medium, PerBroker, NoEffect;
    /// The longest pause between two attempts at an external provider of logins.
    "sasl.login.retry.backoff.max.ms": Long = "10000", Any, Low, ReadOnly, NoEffect;
    /// The first pause between two attempts at an external provider of logins.
    "sasl.login.retry.backoff.ms": Long = "100", Any, Low, ReadOnly, NoEffect;
    /// The SASL mechanism towards controllers.
    "sasl.mechanism.controller.protocol": String = "GSSAPI", Any, High, ReadOnly, NoEffect;
    /// The SASL mechanism between brokers.
    "sasl.mechanism.inter.broker.protocol": String = "GSSAPI", Any, Medium, PerBroker, NoEffect;
    /// The algorithm that signs an assertion.
    "sasl.oauthbearer.assertion.algorithm": String = "RS256",
        AnyCaseOf(&["ES256", "RS256"]), Medium, ReadOnly, NoEffect;
    /// The audience of an assertion.
    "sasl.oauthbearer.assertion.claim.aud": String, Any, Medium, ReadOnly, NoEffect;
    /// For how long an assertion is valid.
    "sasl.oauthbearer.assertion.claim.exp.seconds": Int = "300",
        Between(0, 86_400), Low, ReadOnly, NoEffect;
    /// The issuer of an assertion.
    "sasl.oauthbearer.assertion.claim.iss": String, Any, Medium, ReadOnly, NoEffect;
    /// Whether an assertion carries an id of its own.
    "sasl.oauthbearer.assertion.claim.jti.include": Boolean = "false",
        Any, Medium, ReadOnly, NoEffect;
    /// How long before now an assertion begins to be valid.
    "sasl.oauthbearer.assertion.claim.nbf.seconds": Int = "60",
        Between(0, 3_600), Low, ReadOnly, NoEffect;
    /// The subject of an assertion.
    "sasl.oauthbearer.assertion.claim.sub": String, Any, Medium, ReadOnly, NoEffect;
    /// A file that holds an assertion that was made elsewhere.
    "sasl.oauthbearer.assertion.file": String, Any, Medium, ReadOnly, NoEffect;
    /// The file with the private key that signs assertions.
    "sasl.oauthbearer.assertion.private.key.file": String, Any, Medium, ReadOnly, NoEffect;
    /// The passphrase of that private key.
    "sasl.oauthbearer.assertion.private.key.passphrase": Password, Any, Medium, ReadOnly, NoEffect;
    /// A file with claims and headers that are added to assertions.
    "sasl.oauthbearer.assertion.template.file": String, Any, Medium, ReadOnly, NoEffect;
    /// The id with which a client asks for a token.
    "sasl.oauthbearer.client.credentials.client.id": String, Any, Medium, ReadOnly, NoEffect;
    /// The secret with which a client asks for a token.
    "sasl.oauthbearer.client.credentials.client.secret": Password, Any, Medium, ReadOnly, NoEffect;
    /// By how much the clocks of issuer and broker may differ.
    "sasl.oauthbearer.clock.skew.seconds": Int = "30", Any, Low, ReadOnly, NoEffect;
    /// Audiences of which a token must name one.
    "sasl.oauthbearer.expected.audience": List = "", Items, High, ReadOnly, NoEffect;
    /// The issuer that a token must name.
    "sasl.oauthbearer.expected.issuer": String, Any, High, ReadOnly, NoEffect;
    /// How often these keys are fetched again.
    "sasl.oauthbearer.jwks.endpoint.refresh.ms": Long = "3600000", Any, Low, ReadOnly, NoEffect;
    /// The longest pause between two attempts to fetch these keys.
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms": Long = "10000",
        Any, Low, ReadOnly, NoEffect;
    /// The first pause between two attempts to fetch these keys.
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms": Long = "100", Any, Low, ReadOnly, NoEffect;
    /// Where the keys are that tokens are signed with.
    "sasl.oauthbearer.jwks.endpoint.url": String, Any, Medium, ReadOnly, NoEffect;
    /// The class that fetches tokens.
    "sasl.oauthbearer.jwt.retriever.class": Class = "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever",
        Any, Medium, ReadOnly, NoEffect;
    /// The class that checks tokens.
    "sasl.oauthbearer.jwt.validator.class": Class = "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator",
        Any, Medium, ReadOnly, NoEffect;
    /// The scope that a client asks for.
    "sasl.oauthbearer.scope": String, Any, Medium, ReadOnly, NoEffect;
    /// The claim of a token that holds its scope.
    "sasl.oauthbearer.scope.claim.name": String = "scope", Any, Low, ReadOnly, NoEffect;
    /// The claim of a token that holds its subject.
    "sasl.oauthbearer.sub.claim.name": String = "sub", Any, Low, ReadOnly, NoEffect;
    /// Where tokens are issued.
    "sasl.oauthbearer.token.endpoint.url": String, Any, Medium, ReadOnly, NoEffect;
    /// The class that judges the credentials of a SASL client.
    "sasl.server.callback.handler.class": Class, Any, Medium, ReadOnly, NoEffect;
    /// The largest message of a SASL exchange before it is authenticated.
    "sasl.server.max.receive.size": Int = "524288", Any, Medium, ReadOnly, NoEffect;
    /// Classes that create security providers of the JVM.
    "security.providers": String, Any, Low, ReadOnly, NoEffect;
    /// Whether a keystore may be replaced by one of another name.
    "ssl.allow.dn.changes": Boolean = "false", Any, Low, ReadOnly, NoEffect;
    /// Whether a keystore may be replaced by one of other alternative names.
    "ssl.allow.san.changes": Boolean = "false", Any, Low, ReadOnly, NoEffect;
    /// The cipher suites that are allowed; none named means all.
    "ssl.cipher.suites": List = "", Items, Medium, PerBroker, NoEffect;
    /// Whether clients must show a certificate: `required`, `requested` or `none`. Nothing else
    /// than `none` can be kept here, so it is refused.
    "ssl.client.auth": String = "none",
        OneOf(&["required", "requested", "none"]), Medium, PerBroker, Refused;
    /// The TLS versions that are allowed.
    "ssl.enabled.protocols": List = "TLSv1.2,TLSv1.3", Items, Medium, PerBroker, NoEffect;
    /// How the name of a server is checked against its certificate.
    "ssl.endpoint.identification.algorithm": String = "https", Any, Low, PerBroker, NoEffect;
    /// The class that makes TLS engines.
    "ssl.engine.factory.class": Class, Any, Low, PerBroker, NoEffect;
    /// The password of the private key.
    "ssl.key.password": Password, Any, Medium, PerBroker, NoEffect;
    /// The algorithm of the key manager.
    "ssl.keymanager.algorithm": String = "SunX509", Any, Medium, PerBroker, NoEffect;
    /// The certificates themselves, in PEM.
    "ssl.keystore.certificate.chain": Password, Any, Medium, PerBroker, NoEffect;
    /// The private key itself, in PEM.
    "ssl.keystore.key": Password, Any, Medium, PerBroker, NoEffect;
    /// The file of the keystore.
    "ssl.keystore.location": String, Any, Medium, PerBroker, NoEffect;
    /// The password of the keystore's file.
    "ssl.keystore.password": Password, Any, Medium, PerBroker, NoEffect;
    /// The format of the keystore.
    "ssl.keystore.type": String = "JKS", Any, Medium, PerBroker, NoEffect;
    /// How names of certificates become short names.
    "ssl.principal.mapping.rules": String = "DEFAULT", Any, Low, ReadOnly, NoEffect;
    /// The TLS version that is preferred.
    "ssl.protocol": String = "TLSv1.3", Any, Medium, PerBroker, NoEffect;
    /// The security provider of the JVM.
    "ssl.provider": String, Any, Medium, PerBroker, NoEffect;
    /// The random number generator of TLS.
    "ssl.secure.random.implementation": String, Any, Low, PerBroker, NoEffect;
    /// The algorithm of the trust manager.
    "ssl.trustmanager.algorithm": String = "PKIX", Any, Medium, PerBroker, NoEffect;
    /// The trusted certificates themselves, in PEM.
    "ssl.truststore.certificates": Password, Any, Medium, PerBroker, NoEffect;
    /// The file of the truststore.
    "ssl.truststore.location": String, Any, Medium, PerBroker, NoEffect;
    /// The password of the truststore's file.
    "ssl.truststore.password": Password, Any, Medium, PerBroker, NoEffect;
    /// The format of the truststore.
    "ssl.truststore.type": String = "JKS", Any, Medium, PerBroker, NoEffect;
};
