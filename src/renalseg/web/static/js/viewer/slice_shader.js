// How a slice is coloured: CT window, mask, a second mask to compare with, uncertainty.
// One byte of a voxel holds it all: bits 0-1 the mask, 2-3 the other mask, 4-7 uncertainty.
// Voxels are fetched one by one, so that a 16-bit CT keeps its HU and a window changes at once.

export const SLICE_SHADER = `#version 300 es
precision highp int;
precision highp float;
uniform highp isampler3D ct;
uniform highp usampler3D bits;
uniform int axCorSag;
uniform float opacity;
uniform float low;
uniform float high;
uniform float fillOpacity;
uniform float lineOpacity;
uniform float lineWidth;
uniform float smoothEdges;
uniform float uncertainty;
uniform float compared;
uniform vec4 shown;
uniform vec3 color1;
uniform vec3 color2;
uniform vec3 color3;
in vec3 texPos;
out vec4 color;

// the four voxels around a place of the slice: fetched at corner + (0|1, 0|1) along two axes
ivec3 size;
ivec3 corner;
ivec3 stepU;
ivec3 stepV;
vec2 part;
vec2 uX; // change of the place in voxels per screen pixel along x and y
vec2 uY;

float hu(ivec3 at) { return float(texelFetch(ct, at, 0).r); }
int byteAt(ivec3 at) { return int(texelFetch(bits, at, 0).r); }
float mixed(float a, float b, float c, float d) { return mix(mix(a, b, part.x), mix(c, d, part.x), part.y); }
vec3 colorOf(int label) { return label == 1 ? color1 : label == 2 ? color2 : color3; }

// the label that covers most of the place, and the distance to its edge in screen pixels
int labelAt(ivec4 around, out float edge) {
	float first = 0.0;
	float second = 0.0;
	int label = 0;
	int other = 0;
	vec4 weight = vec4((1.0 - part.x) * (1.0 - part.y), part.x * (1.0 - part.y), (1.0 - part.x) * part.y, part.x * part.y);
	for (int i = 0; i < 4; i++) {
		vec4 here = vec4(equal(around, ivec4(i)));
		float cover = dot(weight, here);
		if (cover > first) { second = first; other = label; first = cover; label = i; }
		else if (cover > second) { second = cover; other = i; }
	}
	edge = 1e3;
	if (second > 0.0) {
		vec4 sign = vec4(equal(around, ivec4(label))) - vec4(equal(around, ivec4(other)));
		vec2 slope = vec2(
			mix(sign.y - sign.x, sign.w - sign.z, part.y),
			mix(sign.z - sign.x, sign.w - sign.y, part.x));
		edge = (first - second) / max(length(vec2(dot(slope, uX), dot(slope, uY))), 1e-5);
	}
	return label;
}

// the same with voxels as they are: squares
int squareAt(ivec4 around, out float edge) {
	ivec2 near = ivec2(part.x < 0.5 ? 0 : 1, part.y < 0.5 ? 0 : 1);
	int label = around[near.x + 2 * near.y];
	edge = 1e3;
	vec2 toEdge = abs(part - 0.5);
	if (around[1 - near.x + 2 * near.y] != label) edge = min(edge, toEdge.x / max(length(vec2(uX.x, uY.x)), 1e-5));
	if (around[near.x + 2 * (1 - near.y)] != label) edge = min(edge, toEdge.y / max(length(vec2(uX.y, uY.y)), 1e-5));
	return label;
}

vec3 heat(float level) { // black, violet, orange, pale yellow
	return clamp(vec3(2.2 * level, 2.6 * level - 0.9, level < 0.5 ? 1.4 * level : 1.5 - 1.7 * level), 0.0, 1.0);
}

void main() {
	size = textureSize(ct, 0);
	vec3 place = texPos * vec3(size) - 0.5;
	vec2 flat_place;
	if (axCorSag == 0) {
		corner = ivec3(floor(place.xy), floor(place.z + 0.5));
		stepU = ivec3(1, 0, 0); stepV = ivec3(0, 1, 0); flat_place = place.xy;
	} else if (axCorSag == 1) {
		corner = ivec3(floor(place.x), floor(place.y + 0.5), floor(place.z));
		stepU = ivec3(1, 0, 0); stepV = ivec3(0, 0, 1); flat_place = place.xz;
	} else {
		corner = ivec3(floor(place.x + 0.5), floor(place.y), floor(place.z));
		stepU = ivec3(0, 1, 0); stepV = ivec3(0, 0, 1); flat_place = place.yz;
	}
	part = fract(flat_place);
	uX = dFdx(flat_place);
	uY = dFdy(flat_place);
	ivec3 at00 = clamp(corner, ivec3(0), size - 1);
	ivec3 at11 = clamp(corner + stepU + stepV, ivec3(0), size - 1);
	ivec3 at10 = at00 + stepU * (at11 - at00);
	ivec3 at01 = at00 + stepV * (at11 - at00);
	float value = mixed(hu(at00), hu(at10), hu(at01), hu(at11));
	vec3 seen = vec3(clamp((value - low) / max(high - low, 1.0), 0.0, 1.0));

	ivec4 bytes = ivec4(byteAt(at00), byteAt(at10), byteAt(at01), byteAt(at11));
	if (uncertainty > 0.0) {
		vec4 levels = vec4(bytes >> 4) / 15.0;
		float level = mixed(levels.x, levels.y, levels.z, levels.w);
		seen = mix(seen, heat(level), uncertainty * smoothstep(0.02, 0.25, level));
	}
	if (any(notEqual(bytes & 15, ivec4(0)))) { // most of a body has no label: this spares slow cards half the work
		float edge;
		int label = smoothEdges > 0.5 ? labelAt(bytes & 3, edge) : squareAt(bytes & 3, edge);
		if (label > 0 && shown[label] > 0.5) {
			float line = lineOpacity * (1.0 - smoothstep(lineWidth - 0.5, lineWidth + 0.5, edge));
			seen = mix(seen, colorOf(label), max(fillOpacity, line));
		}
		if (compared > 0.5) {
			float otherEdge;
			int other = smoothEdges > 0.5 ? labelAt((bytes >> 2) & 3, otherEdge) : squareAt((bytes >> 2) & 3, otherEdge);
			if (other > 0 && shown[other] > 0.5) {
				float line = 1.0 - smoothstep(lineWidth - 0.5, lineWidth + 0.5, otherEdge);
				seen = mix(seen, mix(colorOf(other), vec3(1.0), 0.75), line);
			}
		}
	}
	color = vec4(seen, opacity);
}
`;
