// OpenSSL's headers, and its macros as functions that Swift can call.
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

static inline long copenssl_set_minimum_tls12(SSL_CTX *context) {
    return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
}
static inline void copenssl_release_buffers(SSL_CTX *context) { SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER); }
static inline void copenssl_bound_session_cache(SSL_CTX *context, long sessions) {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_SERVER);
    SSL_CTX_sess_set_cache_size(context, sessions);
}
static inline void copenssl_cache_client_sessions(SSL_CTX *context) {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
}
static inline long copenssl_set_server_name(SSL *ssl, const char *name) { return SSL_set_tlsext_host_name(ssl, name); }
static inline long copenssl_pending(BIO *bio) { return (long)BIO_pending(bio); }
static inline void copenssl_empty_means_retry(BIO *bio) { BIO_set_mem_eof_return(bio, -1); }
static inline X509 *copenssl_peer_certificate(const SSL *ssl) { return SSL_get1_peer_certificate(ssl); }
static inline unsigned long copenssl_name_flags(void) { return XN_FLAG_RFC2253; }

// The functions of one algorithm, without EVP's context around them: see CacheDigest.
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wdeprecated-declarations"
static inline void copenssl_sha256_begin(SHA256_CTX *state) { SHA256_Init(state); }
static inline void copenssl_sha256_add(SHA256_CTX *state, const void *bytes, size_t count) { SHA256_Update(state, bytes, count); }
static inline void copenssl_sha256_finish(SHA256_CTX *state, unsigned char *digest) { SHA256_Final(digest, state); }
#pragma clang diagnostic pop
